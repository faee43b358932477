"""What a search does once before its first trial, so that no trial does it or waits for it."""

from collections.abc import Sequence
from dataclasses import replace

from optuna.distributions import CategoricalDistribution

from lmd_bench.core.machine import n_cores
from lmd_bench.core.schema import TrialContext, TrialSpec
from lmd_bench.data.build import OnImages
from lmd_bench.methods.config import ON_STORED
from lmd_bench.methods.tuning import TUNE
from lmd_bench.search.proposing.study import Study
from lmd_bench.search.queue import JobQueue

_AUGMENTATION = "training.augmentation"


def encoders_tried(trials: Sequence[TrialSpec]) -> list[str]:
    """Load each encoder once here: a download or a fault is this process's, not a trial's."""
    from lmd_bench.methods.pipeline import try_encoders

    return try_encoders(trials)


def fill_features(queue: JobQueue, progress: OnImages | None) -> None:
    """Compute the stored features that trials share, on all cores.

    Raises:
        UserError: an encoder that cannot be had, or a cache that cannot be written.
    """
    trials = [*known_trials(queue), *_in_all_views(queue)]
    trials = [spec for spec in trials if spec.config.get(TUNE) in ON_STORED]
    if not trials:
        return
    from lmd_bench.training.device import device_of
    from lmd_bench.training.features import compute_features

    source = queue.request.context(trials[0].task.dataset).source
    device = device_of(TrialContext(queue.request.results))
    compute_features(trials, source, device=device, n_threads=n_cores(), progress=progress)


def known_trials(queue: JobQueue) -> list[TrialSpec]:
    """Return the default of each study, and the retrainings that are known by now."""
    proposed = [trial for study in queue.studies.values() for trial in _defaults(study)]
    return [*proposed, *(job.spec for jobs in queue.retrainings.values() for job in jobs)]


def _in_all_views(queue: JobQueue) -> list[TrialSpec]:
    """Return the default of each study in each of the views that its sampler may draw."""
    trials: list[TrialSpec] = []
    for study in queue.studies.values():
        views = study.spec.space.get(_AUGMENTATION)
        # Of fewer trials than views some view is never seen.
        n_trials = study.spec.n_trials
        if not isinstance(views, CategoricalDistribution) or study.done:
            continue
        if n_trials is None or n_trials >= len(views.choices):
            trials += [
                replace(trial, config={**trial.config, _AUGMENTATION: view})
                for trial in _defaults(study)
                for view in views.choices
            ]
    return trials


def _defaults(study: Study) -> list[TrialSpec]:
    spec = study.spec
    return [spec.trial(spec.default, level) for level in range(spec.n_levels)]
