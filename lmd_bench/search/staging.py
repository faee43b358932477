"""Staging: which studies a search consists of, and which of them stand on which.

Each task gets one representation study per distinct stage 1, then a calibration study for every
other method, which searches its own hyperparameters and the encoder to stand on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from optuna.distributions import distribution_to_json

from lmd_bench.core.schema import NO_CALIBRATION, Config, TaskSpec, TrialSpec, content_hash, keyed
from lmd_bench.core.seeding import derive_seed
from lmd_bench.core.text import factor_name, task_slug
from lmd_bench.data.datasets import images_of
from lmd_bench.methods.backbones import encoder_version
from lmd_bench.methods.catalogue import Method, named_methods
from lmd_bench.methods.space import Space, search_space
from lmd_bench.search.proposing.levels import level_of
from lmd_bench.search.proposing.points import pair, points_of, warm_points
from lmd_bench.search.proposing.portfolio import most_of_block
from lmd_bench.search.proposing.pruning import NONE
from lmd_bench.search.proposing.ranges import ranged
from lmd_bench.search.request import SearchRequest

Levels = tuple[tuple[TaskSpec, str], ...]  # each with its fingerprint, by rising imbalance factor


@dataclass(frozen=True)
class StudySpec:
    """One study before its first trial: what is searched, on which task, how often."""

    id: str
    levels: Levels  # its task; several where each trial draws the imbalance factor too
    method: Method
    default: Config  # complete
    space: Space  # without the encoder
    n_trials: int | None  # all of its budget; None: as many as the hours allow
    hours: float | None  # of a GPU, or of a core where there is none
    n_epochs: int
    seed: int  # the training seed of every search trial
    sampler_seed: int  # base of the sampler's seeds
    sampler: str
    pruner: str
    grace_period: int  # epochs that a trial has before the pruner may end it
    objectives: tuple[str, ...]  # metrics on val that the sampler is told
    versions: Mapping[str, int | str]  # plug-in -> version
    requested: bool  # False: it only feeds other studies and is not confirmed
    repeat_of: str = ""  # equal for studies that differ in seed and split seed alone
    points: tuple[Config, ...] = ()  # complete, tried right after the default
    block: tuple[Config, ...] = ()  # complete, of a portfolio, tried after those
    prior: bool = False  # draws near the default at first
    stands_on: str | None = None  # the representation study whose encoders it calibrates
    n_shares: int = 1  # of the budget of one stage; calibrations choose among the first one alone

    @property
    def task(self) -> TaskSpec:
        """Return the study's task; the one of the lowest imbalance factor where there are more."""
        return self.levels[0][0]

    @property
    def task_fingerprint(self) -> str:
        """Return the fingerprint of that task."""
        return self.levels[0][1]

    @property
    def n_levels(self) -> int:
        """Return at how many imbalance factors it searches."""
        return len(self.levels)

    @property
    def factor_range(self) -> str:
        """Return the range that imbalance factors are drawn from, "10:200"; "" where none are."""
        ends = (self.levels[0][0].imbalance_factor, self.levels[-1][0].imbalance_factor)
        return ":".join(map(factor_name, ends)) if self.n_levels > 1 else ""

    @property
    def task_name(self) -> str:
        """Return how the study's task is called, in ids and above tables."""
        return levels_slug(self.levels)

    def level_of(self, number: int) -> int:
        """Return the level that trial `number` is run at."""
        return level_of(number, self.n_levels, self.sampler_seed)

    def trial(self, config: Config, level: int = 0) -> TrialSpec:
        """Return the search trial of a complete config at one of the levels."""
        task, fingerprint = self.levels[level]
        return TrialSpec(
            task=task,
            task_fingerprint=fingerprint,
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
    for levels in _levels(request):
        for method in methods:
            if request.joint and method.calibration != NO_CALIBRATION:
                study = _study(request, method, levels, True)
                specs[study.id] = study
                continue
            base = _representation_study(request, method, methods, levels)
            specs.setdefault(base.id, base)
            if method.calibration != NO_CALIBRATION:
                study = _study(request, method, levels, True, base.id)
                specs[study.id] = study
    shared = request.equal_totals and not request.joint
    return tuple(_of_both_stages(study) if shared else study for study in specs.values())


def _levels(request: SearchRequest) -> list[Levels]:
    """Return the levels of each study: all factors of a data set together, or each for itself."""
    if not request.over_factors:
        return [(task,) for task in request.tasks]
    families: dict[TaskSpec, list[tuple[TaskSpec, str]]] = {}
    for task, fingerprint in request.tasks:
        family = replace(task, imbalance_factor=None)
        families.setdefault(family, []).append((task, fingerprint))
    return [
        tuple(sorted(tasks, key=lambda level: level[0].imbalance_factor or 0.0))
        for tasks in families.values()
    ]


def levels_slug(levels: Levels) -> str:
    """Return how a task is called in ids, or a range of tasks, like `...-if10to200x5-...`."""
    (task, fingerprint), (last, _) = levels[0], levels[-1]
    if len(levels) == 1:
        return task_slug(task, fingerprint)
    ends = f"{factor_name(task.imbalance_factor)}to{factor_name(last.imbalance_factor)}"
    every = content_hash([fingerprint for _, fingerprint in levels])
    one_factor = f"-if{factor_name(task.imbalance_factor)}-"
    return task_slug(task, every).replace(one_factor, f"-if{ends}x{len(levels)}-", 1)


def _of_both_stages(study: StudySpec) -> StudySpec:
    """Return the study of a method of one stage with the budget that two stages have together."""
    # One trial is the default: nothing is chosen, in either stage.
    if study.stands_on or not study.requested or study.n_trials == 1:
        return study
    return replace(
        study,
        n_shares=2,
        n_trials=None if study.n_trials is None else 2 * study.n_trials,
        hours=None if study.hours is None else 2 * study.hours,
    )


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
    levels: Levels,
) -> StudySpec:
    sections = ("training.", f"{method.representation}.")
    settings = {k: v for k, v in method.settings.items() if k.startswith(sections)}
    name = pair(method.representation, NO_CALIBRATION)
    searched = {k: v for k, v in method.searched.items() if k.startswith(sections)}
    helper = Method(
        name, method.representation, NO_CALIBRATION, settings=settings, searched=searched
    )
    # A method that a person knows by name gives the study its name, above all one that was asked
    # for: its search and its confirmation then count as that method's.
    stage1 = next(
        candidate
        for candidate in (*requested, *named_methods().values(), helper)
        if candidate.representation == helper.representation
        and candidate.calibration == NO_CALIBRATION
        and request.fixed_of(candidate) == request.fixed_of(helper)
        and candidate.searched == helper.searched
    )
    return _study(request, stage1, levels, stage1 in requested)


def _study(
    request: SearchRequest,
    method: Method,
    levels: Levels,
    requested: bool,
    stands_on: str | None = None,
) -> StudySpec:
    default = request.default_of(method)
    # A calibration study takes its encoders as they are, so it searches stage 2 alone.
    sections = method.sections[2:] if stands_on else method.sections
    space = ranged(
        search_space(sections, request.fixed_of(method), method.searched), request.ranges
    )
    stored = request.warm_start.get(pair(method.representation, method.calibration), ())
    points = (*points_of(request.points, space, default), *warm_points(stored, space, default))
    learned: tuple[Config, ...] = ()
    if request.portfolio is not None:
        names = images_of(levels[0][0].dataset)
        learned = request.portfolio.block(method, default, space, names, staged=bool(stands_on))
    # What is shipped may grow, and the budget says how much of it is tried: a study then goes on
    # with the trials that it has. What a person gives makes a study of its own.
    if request.portfolio is not None and not request.portfolio.is_shipped:
        own = (*points, *learned)
    else:
        own = points
    n_trials = None if request.hours else request.n_trials
    # Pruning saves epochs of stage 1; a calibration is too short to be worth ending early.
    pruner = NONE if stands_on else request.pruner
    versions = {**method.versions, **encoder_version(default)}
    differs = identity(default, space, versions, request.seed, stands_on, own)
    id = study_id(request, method, levels_slug(levels), pruner, differs)
    both_stages = search_space(method.sections, request.fixed_of(method), method.searched)
    repeats = [
        *(method.name, request.n_epochs, request.sampler, pruner, request.joint),
        *(request.deterministic, stands_on is None, *request.objectives),
        identity(default, ranged(both_stages, request.ranges), method.versions, None, None, own),
        *_further_ways(request, pruner),
    ]
    return StudySpec(
        id=id,
        repeat_of=content_hash(repeats)[:12],
        levels=levels,
        method=method,
        default=default,
        space=space,
        n_trials=n_trials,
        hours=request.hours,
        n_epochs=request.n_epochs,
        seed=derive_seed(request.seed, "search"),
        sampler_seed=derive_seed(request.seed, "sampler", id),
        sampler=request.sampler,
        pruner=pruner,
        grace_period=request.grace_period,
        objectives=request.objectives,
        versions=versions,
        requested=requested,
        points=points,
        block=learned[: most_of_block(n_trials, len(levels))],
        prior=request.prior,
        stands_on=stands_on,
    )


def identity(
    default: Config,
    space: Space,
    versions: Mapping[str, int | str],
    seed: int | None,
    stands_on: str | None,
    points: Sequence[Config],
) -> str:
    """Return a short hash of all that makes the trials of two studies of one name differ.

    The budget is no part of it: a search with more trials goes on with the study that is stored.
    """
    ranges = {key: distribution_to_json(distribution) for key, distribution in space.items()}
    return content_hash([keyed(default), ranges, versions, seed, stands_on or "", *points])[:8]


def study_id(request: SearchRequest, method: Method, task: str, pruner: str, identity: str) -> str:
    """Return the name under which the store keeps the rows of a study.

    It is for people and for equality; what it says is in the fields of `StudySpec` too, so nothing
    reads it back.
    """
    objectives = "+".join(request.objectives)
    # Ways of searching that are the default are left out, so an id stays as short as it can be.
    ways = {
        request.sampler: request.sampler != SearchRequest.sampler,
        pruner: pruner != NONE,
        objectives: request.objectives != SearchRequest.objectives,
        "joint": request.joint and method.calibration != NO_CALIBRATION,
        "deterministic": request.deterministic,
    }
    budget = [f"{request.n_epochs}ep", f"seed{request.seed}", identity]
    budget += [way for way, is_used in ways.items() if is_used]
    budget += _further_ways(request, pruner)
    return f"{task}/{method.name}/{'-'.join(budget)}"


def _further_ways(request: SearchRequest, pruner: str) -> list[str]:
    """Return the ways of pruning and of beginning a study that a person asked for."""
    ways = {
        f"grace{request.grace_period}": pruner != NONE and request.grace_period > 1,
        "no-portfolio": request.portfolio is None,
        "prior": request.prior,
    }
    return [way for way, is_used in ways.items() if is_used]
