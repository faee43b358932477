"""Staging: which studies a search consists of, and which of them stand on which.

Each task gets one representation study per distinct stage 1, then a calibration study for every
other method, which searches its own hyperparameters and the encoder to stand on.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from optuna.distributions import distribution_to_json

from lmd_bench.core import plugins
from lmd_bench.core.schema import NO_CALIBRATION, Config, TaskSpec, TrialSpec, content_hash
from lmd_bench.core.seeding import derive_seed
from lmd_bench.methods.catalogue import Method, named_methods
from lmd_bench.methods.space import Space, search_space
from lmd_bench.search.proposing.points import pair, points_of, warm_points
from lmd_bench.search.proposing.pruning import NONE
from lmd_bench.search.proposing.ranges import ranged
from lmd_bench.search.request import SearchRequest


@dataclass(frozen=True)
class StudySpec:
    """One study before its first trial: what is searched, on which task, how often."""

    id: str
    task: TaskSpec
    task_fingerprint: str
    method: Method
    default: Config  # complete
    space: Space  # without the encoder
    n_trials: int | None  # None: as many as the hours allow
    hours: float | None  # of a GPU, or of a core where there is none
    n_epochs: int
    seed: int  # the training seed of every search trial
    sampler_seed: int  # base of the sampler's seeds
    sampler: str
    pruner: str
    objectives: tuple[str, ...]  # metrics on val that the sampler is told
    versions: Mapping[str, int]  # plug-in -> version
    requested: bool  # False: it only feeds other studies and is not confirmed
    points: tuple[Config, ...] = ()  # complete, tried right after the default
    stands_on: str | None = None  # the representation study whose encoders it calibrates

    def trial(self, config: Config) -> TrialSpec:
        """Return the search trial of a complete config."""
        return TrialSpec(
            task=self.task,
            task_fingerprint=self.task_fingerprint,
            method=self.method.name,
            representation=self.method.representation,
            calibration=self.method.calibration,
            config=config,
            seed=self.seed,
            n_epochs=self.n_epochs,
            phase="search",
            study=self.id,
            versions=self.versions,
        )


def study_specs(request: SearchRequest) -> tuple[StudySpec, ...]:
    """Return the studies of a request; a representation study comes before those on it.

    Methods of one name count once, and so does a pair asked for under two names: the first stays.
    """
    methods = _distinct(request)
    specs: dict[str, StudySpec] = {}
    for task, fingerprint in request.tasks:
        for method in methods:
            if request.joint and method.calibration != NO_CALIBRATION:
                study = _study(request, method, task, fingerprint, True, None)
                specs[study.id] = study
                continue
            base = _representation_study(request, method, methods, task, fingerprint)
            specs.setdefault(base.id, base)
            if method.calibration != NO_CALIBRATION:
                study = _study(request, method, task, fingerprint, True, base.id)
                specs[study.id] = study
    return tuple(specs.values())


def _distinct(request: SearchRequest) -> tuple[Method, ...]:
    methods: dict[str, Method] = {}
    for method in request.methods:
        same = [method.representation, method.calibration, dict(request.fixed_of(method))]
        methods.setdefault(content_hash(same), method)
    return tuple(methods.values())


def _representation_study(
    request: SearchRequest,
    method: Method,
    requested: tuple[Method, ...],
    task: TaskSpec,
    fingerprint: str,
) -> StudySpec:
    sections = ("training.", f"{method.representation}.")
    settings = {k: v for k, v in method.settings.items() if k.startswith(sections)}
    pair = f"{method.representation}+{NO_CALIBRATION}"
    helper = Method(pair, method.representation, NO_CALIBRATION, settings=settings)
    same = [
        known
        for known in (*requested, *named_methods().values(), helper)
        if (known.representation, known.calibration) == (helper.representation, NO_CALIBRATION)
        and request.fixed_of(known) == request.fixed_of(helper)
    ]
    return _study(request, same[0], task, fingerprint, same[0] in requested, None)


def _study(
    request: SearchRequest,
    method: Method,
    task: TaskSpec,
    fingerprint: str,
    requested: bool,
    stands_on: str | None,
) -> StudySpec:
    default = request.default_of(method)
    sections = method.sections[2:] if stands_on else method.sections
    space = ranged(search_space(sections, request.fixed_of(method)), request.ranges)
    versions = {
        method.representation: int(plugins.load("representation", method.representation).VERSION),
        method.calibration: int(plugins.load("calibration", method.calibration).VERSION),
    }
    ranges = {key: distribution_to_json(distribution) for key, distribution in space.items()}
    points = points_of(request.points, space, default)
    points = (*points, *_warm(request, method, space, default))
    identity = [default, ranges, versions, request.seed, stands_on or "", *points]
    differs = content_hash(identity)[:8]
    budget = f"{request.n_epochs}ep-seed{request.seed}-{differs}"
    pruner = NONE if stands_on else request.pruner  # only stage 1 is worth ending early
    budget += _ways(request, pruner, joint=request.joint and method.calibration != NO_CALIBRATION)
    study_id = f"{task_name(task, fingerprint)}/{method.name}/{budget}"
    return StudySpec(
        id=study_id,
        task=task,
        task_fingerprint=fingerprint,
        method=method,
        default=default,
        space=space,
        n_trials=None if request.hours else request.n_trials,
        hours=request.hours,
        n_epochs=request.n_epochs,
        seed=derive_seed(request.seed, "search"),
        sampler_seed=derive_seed(request.seed, "sampler", study_id),
        sampler=request.sampler,
        pruner=pruner,
        objectives=request.objectives,
        versions=versions,
        requested=requested,
        points=points,
        stands_on=stands_on,
    )


def _warm(
    request: SearchRequest, method: Method, space: Space, default: Config
) -> tuple[Config, ...]:
    known = request.warm_start.get(pair(method.representation, method.calibration), ())
    return warm_points(known, space, default)


def _ways(request: SearchRequest, pruner: str, joint: bool) -> str:
    """Return what of a study's ways of searching is not the default, for its id."""
    objectives = "+".join(request.objectives)
    ways = {
        request.sampler: request.sampler != SearchRequest.sampler,
        pruner: pruner != NONE,
        objectives: request.objectives != SearchRequest.objectives,
        "joint": joint,
        "deterministic": request.deterministic,
    }
    return "".join(f"-{way}" for way, differs in ways.items() if differs)


def task_name(task: TaskSpec, fingerprint: str) -> str:
    """Return how a task is called in the ids of its studies."""
    factor = "natural" if task.imbalance_factor is None else f"{task.imbalance_factor:g}"
    parts = (task.dataset, task.protocol, f"if{factor}", f"{task.image_size}px")
    return "-".join((*parts, f"split{task.split_seed}", fingerprint[:8]))
