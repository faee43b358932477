"""The search trials of a study as Optuna sees them, and the settings that really varied."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState, create_trial

from lmd_bench.core.schema import Row
from lmd_bench.leaderboard.studies.group import StudyRows
from lmd_bench.report.drawing.parallel import Setting
from lmd_bench.search.watching.dashboard import trials_of

FEWEST = 20  # finished trials: below, the best tenth that PED-ANOVA looks at is one trial


@dataclass(frozen=True, eq=False)
class Searched:
    """The trials of a study, in the order of their numbers, and what differs between them."""

    study: StudyRows
    rows: Sequence[Row]
    trials: Sequence[FrozenTrial]
    varied: tuple[str, ...]  # names of settings with more than one value

    @property
    def n_finished(self) -> int:
        """Return how many trials have a value."""
        return sum(trial.state == TrialState.COMPLETE for trial in self.trials)

    def settings(self) -> list[Setting]:
        """Return an axis for each setting that varied."""
        return [_setting(name, self._distribution(name)) for name in self.varied]

    def importances(self) -> dict[str, float]:
        """Return the share of each varied setting, the largest first; empty below 20 trials.

        How differently a setting is distributed among the best tenth of the trials and among all.

        Paper: Watanabe, Bansal and Hutter, PED-ANOVA, IJCAI 2023.
        URL: https://arxiv.org/abs/2304.10255
        """
        if self.n_finished < FEWEST or not self.varied:
            return {}
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # it announces each new study
        study = optuna.create_study(direction="maximize")
        finished = [trial for trial in self.trials if trial.state == TrialState.COMPLETE]
        common = [name for name in self.varied if all(name in t.params for t in finished)]
        study.add_trials([_bare(trial) for trial in finished])
        evaluator = PedAnovaImportanceEvaluator(evaluate_on_local=True)
        return dict(get_param_importances(study, evaluator=evaluator, params=common))

    def _distribution(self, name: str) -> BaseDistribution:
        return next(t.distributions[name] for t in self.trials if name in t.distributions)


def searched(study: StudyRows) -> Searched:
    """Return the trials of a study."""
    trials = trials_of([dict(row) for row in study.rows])
    values: dict[str, set[str]] = {}
    for trial in trials:
        for name, value in trial.params.items():
            values.setdefault(name, set()).add(json.dumps(value))
    varied = tuple(name for name, found in values.items() if len(found) > 1)
    return Searched(study, study.trials, trials, varied)


def _bare(trial: FrozenTrial) -> FrozenTrial:
    """Return a trial without its curve and attributes, which Optuna copies at every look."""
    return create_trial(value=trial.value, params=trial.params, distributions=trial.distributions)


def _setting(name: str, distribution: BaseDistribution) -> Setting:
    if isinstance(distribution, CategoricalDistribution):
        return Setting(name, choices=tuple(str(choice) for choice in distribution.choices))
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return Setting(name, float(distribution.low), float(distribution.high), distribution.log)
