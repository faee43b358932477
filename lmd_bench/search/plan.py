"""The plan of a search, for --dry-run: what it would run, and what the store already holds."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from itertools import product

from lmd_bench.core.schema import Config, TrialSpec
from lmd_bench.search.disk import Disk, disk_of
from lmd_bench.search.proposing.proposals import size
from lmd_bench.search.proposing.study import Study
from lmd_bench.search.queue import JobQueue
from lmd_bench.search.request import SearchRequest
from lmd_bench.search.sources import Searched
from lmd_bench.store.store import Look, Store, open_store


@dataclass(frozen=True)
class StudyPlan:
    """What is left of one study."""

    id: str
    task: str
    method: str
    stands_on: str  # the method of the representation study; "" for such a study itself
    budget: int  # at most, while the encoders that a calibration may stand on are not known
    done: int
    confirmations: int  # at most, while the selected config is not known
    confirmed: int
    n_shares: int = 1  # 2: it has the budget that two stages have together
    # Of a portfolio, still to be tried: the settings that are searched, in their order.
    from_portfolio: tuple[Config, ...] = ()

    @property
    def left(self) -> int:
        """Return the search trials that are still to run, at most."""
        return max(0, self.budget - self.done)


@dataclass(frozen=True)
class Plan:
    """What is left of a search."""

    studies: tuple[StudyPlan, ...]
    encoders: int  # to train, at most
    disk: Disk | None = None  # where it was asked for

    @property
    def trials(self) -> int:
        """Return the search trials that are still to run, at most."""
        return sum(study.left for study in self.studies)

    @property
    def confirmations(self) -> int:
        """Return the confirmations that are still to run, at most."""
        return sum(study.confirmations - study.confirmed for study in self.studies)

    @property
    def stored(self) -> int:
        """Return how many rows of these studies the store holds."""
        return sum(study.done + study.confirmed for study in self.studies)


def plan(queue: JobQueue, is_cached: Callable[[TrialSpec], bool]) -> Plan:
    """Return what a search would run; `is_cached` says whether a trial's encoder is stored."""
    studies = tuple(_study_plan(queue, study) for study in queue.studies.values())
    return Plan(studies, _encoders(queue, is_cached))


def plan_of(request: SearchRequest) -> Plan:
    """Return what a request would run; nothing is started or written."""
    queue = JobQueue(Searched(request), stored(request))
    outline = plan(queue, lambda spec: is_cached(request, spec))
    left = [(study.left, study.confirmations - study.confirmed) for study in outline.studies]
    studies = list(queue.studies.values())
    return replace(outline, disk=disk_of(studies, left, outline.encoders))


class _Empty:
    """The store of a search that has not been run."""

    def get(self, key: str) -> None:
        return None

    def look(self, columns: Sequence[str], studies: Collection[str], /) -> Look:
        return Look([])

    def rows(self) -> list[dict[str, object]]:
        return []

    def write(self, row: object, logits: object = ()) -> None:
        raise AssertionError("a plan writes nothing")


def stored(request: SearchRequest) -> Store | _Empty:
    """Return the store of a request's results; an empty one where there are none yet."""
    if not (request.results / "store.json").exists():
        return _Empty()
    return open_store(request.results)


def is_cached(request: SearchRequest, spec: TrialSpec) -> bool:
    """Say whether the encoder that a trial needs is stored already."""
    return (request.results / "encoders" / spec.encoder_key / "encoder.json").is_file()


def _study_plan(queue: JobQueue, study: Study) -> StudyPlan:
    base = queue.studies.get(study.spec.stands_on or "")
    retrainings = queue.retrainings.get(study.spec.id)
    n = len(retrainings or ())
    confirmed = sum(job.key in queue.retrained for job in retrainings or ())
    if study.spec.requested and not _decided(queue, study):
        configs = min(2, most_trials(queue, study))  # the selected and the default one
        n = configs * queue.request.confirm_seeds * study.spec.n_levels
        n += _race_runs(queue, study)
    return StudyPlan(
        id=study.spec.id,
        task=study.spec.task_name,
        method=study.spec.method.name,
        stands_on=base.spec.method.name if base else "",
        budget=most_trials(queue, study),
        done=len(study.rows),
        confirmations=n,
        confirmed=confirmed,
        n_shares=study.spec.n_shares,
        from_portfolio=_from_portfolio(study, most_trials(queue, study)),
    )


def _from_portfolio(study: Study, budget: int) -> tuple[Config, ...]:
    """Return what of a portfolio is still to be tried: by its place, a trial has its number."""
    spec, begun = study.spec, {row["trial_number"] for row in study.rows}
    first = spec.n_levels + len(spec.points)
    return tuple(
        {key: config[key] for key in spec.space}
        for number, config in enumerate(spec.block, start=first)
        # Under hours nobody knows yet how many trials come.
        if (number < budget or spec.n_trials is None) and number not in begun
    )


def _decided(queue: JobQueue, study: Study) -> bool:
    """Say whether it is known which configurations of a study are confirmed."""
    jobs = queue.retrainings.get(study.spec.id)
    if jobs is None:
        return False
    # While a race goes on, what is listed is the race alone.
    return any(job.spec.phase == "confirm" for job in jobs) or not any(
        job.key not in queue.retrained for job in jobs
    )


def _race_runs(queue: JobQueue, study: Study) -> int:
    """Return how many runs the race of a study takes, at most; the default is in it besides."""
    request, most = queue.request, most_trials(queue, study)
    if request.select_top == 1 or most == 1:
        return 0
    return min(request.select_top + 1, most) * request.select_seeds


def most_trials(queue: JobQueue, study: Study) -> int:
    """Return a study's budget; at most, while it is not known how many encoders it is offered."""
    if study.ready:
        return max(study.budget, len(study.rows))
    if queue.blocked(study):
        return len(study.rows)
    base = queue.studies[study.spec.stands_on or ""]
    n_configs = size(study.spec.space)
    n_offered = max(1, base.budget // base.spec.n_shares)
    n_encoders = min(n_offered, queue.request.top_k + 1)
    # Under hours nobody knows yet: a calibration costs less than the stage 1 it is compared with.
    n_trials = n_offered if study.spec.n_trials is None else study.spec.n_trials
    if n_configs is None:
        return n_trials
    return min(n_trials, n_configs * n_encoders * study.spec.n_levels)


def _encoders(queue: JobQueue, is_cached: Callable[[TrialSpec], bool]) -> int:
    """Count distinct encoders; those of configs that are not known yet are all taken as new."""
    new: set[object] = set()
    for study in queue.studies.values():
        base = study.spec.stands_on or study.spec.id
        levels = range(study.spec.n_levels)
        runs = list(product(range(queue.request.confirm_seeds), levels))
        if study.spec.stands_on and study.spec.n_levels > 1:
            # An encoder that was trained at one level is trained again at the others.
            offered = range(queue.request.top_k + 1)
            new |= {(base, "offered", rank, level) for rank in offered for level in levels}
        if study.spec.stands_on is None:
            first = study.spec_of(study.spec.default)
            left = max(0, study.budget - len(study.rows))
            new |= {(study.spec.id, n) for n in range(left)}
            if left and not study.rows and is_cached(first):
                new.discard((study.spec.id, 0))
        if _decided(queue, study):
            specs = [job.spec for job in queue.pending(study.spec.id)]
            new |= {spec.encoder_key for spec in specs if not is_cached(spec)}
        elif study.spec.requested and not queue.blocked(study):
            new |= {(base, "default", run) for run in runs}
            if most_trials(queue, study) > 1:
                new |= {(study.spec.id, "selected", run) for run in runs}
            new |= {(study.spec.id, "race", run) for run in range(_race_runs(queue, study))}
    return len(new)
