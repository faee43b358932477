"""The queue over all jobs of a search: what runs next. Knows neither Ray nor torch.

Built from the store, so that the same request after any kind of death runs what is missing.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum

from lmd_bench.core.schema import Status, TrialRow
from lmd_bench.search.jobs import Job, Row, is_stale, ranked, slim, value_of
from lmd_bench.search.places import AT_ONCE, Place, Places
from lmd_bench.search.proposing.study import MOST_ALIKE, Study
from lmd_bench.search.request import SearchRequest
from lmd_bench.search.sources import Source, Store
from lmd_bench.store.rows import make_row

MOST_LOSSES = 2  # of one job, after which it is written off
MOST_TURNS = 2  # after which a job runs even where it was lost before: there is no other place


class Signal(Enum):
    """What the queue answers where it has no job to give."""

    WAIT = "running trials decide what comes next"
    DONE = "nothing is left to run"


class JobQueue:
    """What a source wants to be run: first what its studies propose, then its retrainings.

    A job is in one of four places: not started, `running`, put back after its worker died, or done,
    which is a row in the store.
    """

    def __init__(
        self, source: Source, store: Store, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Read what the store holds of the source's jobs; `clock` gives seconds."""
        self.running: dict[str, Job] = {}
        self.places = Places(clock)
        self.said: list[str] = []  # what a person is to be told, taken by who shows it
        self._clock = clock
        self._source = source
        self._store = store
        self._losses: Counter[str] = Counter()
        self._lost_at: dict[str, set[Place]] = defaultdict(set)
        self._turns: Counter[str] = Counter()  # how often a job was turned away
        self._turned_away: list[Job] = []  # from a place, before they began
        self._put_back: list[Job] = []
        self._alone: list[Job] = []  # these run when nothing else does
        self._trained: set[str] = set()  # encoders known to be in the cache
        self._started: dict[str, tuple[datetime, float]] = {}  # and by a clock that nobody sets
        stored = source.read(store)
        self.retrained = stored.retrained  # key -> row
        self._before = stored.again  # key -> row of a trial that runs again
        if stored.damaged:
            files = ", ".join(path.name for path in stored.damaged[:3])
            self.said.append(
                f"{len(stored.damaged)} damaged rows ({files}{', ...' * (len(stored.damaged) > 3)})"
                " count as missing: what they are of runs again where this search wants it."
            )

    @property
    def request(self) -> SearchRequest:
        """Return what was asked for, with the resources of each trial."""
        return self._source.request

    def ids(self) -> set[str]:
        """Return the studies whose rows this search may add to."""
        return self._source.ids()

    @property
    def studies(self) -> dict[str, Study]:
        """Return the studies by id; none where the jobs are fixed."""
        return self._source.studies

    @property
    def retrainings(self) -> dict[str, list[Job]]:
        """Return the retrainings that are known by now, done or not, by the id of their study."""
        return self._source.retrainings

    def next(self) -> Job | Signal:
        """Return a job that may start now, and count it as running."""
        # A suspect runs now, and nothing may run beside it.
        if any(job.key in self.running for job in self._alone):
            return Signal.WAIT
        # What was lost waits for what has not been tried: where a place is broken, its slot is the
        # first to be free again, and would get the lost job at once.
        job = self._turned_away.pop(0) if self._turned_away else self._source.propose()
        if job is None and self._put_back:
            job = self._put_back.pop(0)
        job = job or self._next_retraining()
        # Suspects come last, one by one. Each stays in the list until it has ended, which is what
        # holds the others off above.
        if job is None and not self.running:
            job = self._alone[0] if self._alone else None
        if job is None:
            return Signal.WAIT if self.running else Signal.DONE
        self.running[job.key] = job
        self._started[job.key] = datetime.now(UTC), self._clock()
        return job

    def placed(self, key: str, place: Place) -> bool:
        """Say whether a running job may go on where it has landed; else it waits for another place.

        Its slot is then to be held until `may_release`, so that no other job lands there.
        """
        job = self.running[key]
        unwelcome = place in self._lost_at[key] and self.places.others(place)
        if self.places.usable(place) and not (unwelcome and self._turns[key] < MOST_TURNS):
            self.places.begins(key, place, job.spec.method)
            self._started[key] = datetime.now(UTC), self._clock()
            return True
        self._turns[key] += 1
        del self.running[key]
        # A suspect stays in the list of those that run alone.
        if all(other.key != key for other in self._alone):
            self._turned_away.append(job)
        return False

    def may_release(self, key: str, place: Place) -> bool:
        """Say whether a slot that is held may be given to other jobs.

        Args:
            key: Of the job that was turned away there.
            place: Of the slot.
        """
        if not self.places.usable(place):
            return self.finished
        return all(job.key != key for job in self._turned_away)

    def complete(self, key: str, row: Row) -> None:
        """Take the row of a running job."""
        job = self.running.pop(key)
        if row["status"] == "error" and row["seconds"] < AT_ONCE:
            self._fault(key, row["cause"])
        elif row["status"] in ("ok", "pruned", "diverged"):
            self.places.went_well(key)
        self.places.leaves(key)
        self._alone = [other for other in self._alone if other.key != key]
        # A trial that ended well has trained its encoder, or found it in the cache.
        if value_of(row) is not None:
            self._trained.add(job.encoder)
        row = slim(row, self._source.columns)
        if job.spec.phase == "search":
            self._source.tell(row)
        else:
            self.retrained[key] = row
            self._source.retrained(row)

    def ended(
        self, key: str, cause: str, alone: bool = False, status: Status = "lost"
    ) -> Row | None:
        """Take the row that the worker of a running job wrote; without one the job is lost."""
        # The worker writes the row itself, so it may be there though the worker died right after.
        # A trial that runs again has its old row there too, which tells nothing of this run.
        row = self._store.get(key)
        if row is None or is_stale(row, self._before.get(key)):
            return self.lost(key, cause, alone, status)
        self.complete(key, row)
        return row

    def lost(
        self, key: str, cause: str, alone: bool = False, status: Status = "lost"
    ) -> Row | None:
        """Put back a job whose worker died; the second time, write it off as a row and return it.

        `alone` is for a death of unknown origin: the job is then tried again with no other job
        beside it, so that the guilty one takes no innocent one along.
        """
        started, clock = self._started[key]
        seconds = self._clock() - clock
        study = self.studies.get(self.running[key].spec.study)
        place = self.places.of(key)
        if place is not None:
            self._lost_at[key].add(place)
        if status == "lost":
            self._fault(key, cause)
        self.places.leaves(key)
        # Once may be the machine's fault; a job that kills its worker twice would do so for ever.
        self._losses[key] += 1
        if self._losses[key] < MOST_LOSSES:
            job = self.running.pop(key)
            # What it cost is paid from the hours of its study, though no row says so.
            if study is not None and job.spec.phase == "search":
                study.clock.charge(seconds)
            (self._alone if alone else self._put_back).append(job)
            return None
        row = _lost_row(self.running[key], status, cause, place, started, seconds)
        self._store.write(row)
        self.complete(key, row)
        return row

    def preempted(self, key: str) -> None:
        """Put back a job whose node was taken away; that is nobody's fault, and counts nowhere."""
        self.places.leaves(key)
        self._turned_away.append(self.running.pop(key))

    def pending(self, study_id: str) -> list[Job]:
        """Return the retrainings of a study that are neither done nor running."""
        jobs = self.retrainings.get(study_id, [])
        return [j for j in jobs if j.key not in self.retrained and j.key not in self.running]

    def encoders_to_come(self) -> set[str]:
        """Return the encoders that jobs need which run, were put back or are known to come."""
        held = (*self.running.values(), *self._turned_away, *self._put_back, *self._alone)
        pending = [job for id in self.retrainings for job in self.pending(id)]
        return {job.encoder for job in (*held, *pending)}

    def blocked(self, study: Study) -> bool:
        """Say whether a calibration study has no encoder, because every stage 1 failed."""
        base = self.studies.get(study.spec.stands_on or "")
        return base is not None and base.offered is not None and not study.ready

    @property
    def finished(self) -> bool:
        """Say whether nothing runs and nothing is left to run."""
        if self.running or self._turned_away or self._put_back or self._alone:
            return False
        searched = all(study.done or self.blocked(study) for study in self.studies.values())
        return searched and not any(self.pending(id) for id in self.retrainings)

    def n_stored(self) -> int:
        """Return how many rows the studies of this search have."""
        return len(self.retrained) + sum(len(study.rows) for study in self.studies.values())

    def problems(self) -> list[str]:
        """Return a sentence for each requested study that gives no result."""
        sentences = [self._problem(study) for study in self.studies.values()]
        sentences += [self._all_failed(id) for id in self.retrainings if id not in self.studies]
        return [sentence for sentence in sentences if sentence]

    def _problem(self, study: Study) -> str:
        name = study.spec.id
        if self.blocked(study):
            base = self.studies[study.spec.stands_on or ""]
            offered = base.offered or []
            trials = "the only trial" if len(offered) == 1 else f"all {len(offered)} trials"
            return (
                f"{name}: no calibration could run, because {trials} of "
                f"{base.spec.method.name} failed ({_causes(offered)})."
            )
        if not study.done or not study.spec.requested:
            return ""
        if study.stopped:
            return (
                f"{name}: stopped after {len(study.rows)} trials, the last {MOST_ALIKE} of which "
                f"failed alike ({study.rows[-1]['cause']})."
            )
        if not ranked(study.rows):
            return f"{name}: no trial of {len(study.rows)} succeeded ({_causes(study.rows)})."
        return self._all_failed(name, "confirmations")

    def _all_failed(self, name: str, kind: str = "runs") -> str:
        jobs = self.retrainings[name]
        rows = [self.retrained[job.key] for job in jobs if job.key in self.retrained]
        if rows and len(rows) == len(jobs) and not ranked(rows):
            return f"{name}: all {len(rows)} {kind} failed ({_causes(rows)})."
        return ""

    def _fault(self, key: str, cause: str) -> None:
        for place in self.places.fault(key, cause):
            self.said.append(f"{place} is out of use: trials fail there in a row ({cause}).")

    def _next_retraining(self) -> Job | None:
        """Return the retraining that starts next; None if all have started."""
        held = {job.key for job in (*self._turned_away, *self._put_back, *self._alone)}
        unstarted: list[Job] = []
        started: dict[str, float] = {}  # the share of a study's retrainings, by its id
        for id, jobs in self.retrainings.items():
            own = [job for job in self.pending(id) if job.key not in held]
            unstarted += own
            started[id] = 1 - len(own) / max(1, len(jobs))
        in_training = {job.encoder for job in self.running.values()} - self._trained

        def order(job: Job) -> tuple[bool, float]:
            return (
                # A job whose encoder is being trained would hold a slot and wait for a lock.
                job.encoder in in_training,
                # Then evenly over the studies, so that all get their first seeds before any its
                # last. Of equals `min` takes the first: by the order of the request, then of seeds.
                started[job.spec.study],
            )

        return min(unstarted, key=order, default=None)


def _lost_row(
    job: Job, status: Status, cause: str, place: Place | None, started: datetime, seconds: float
) -> TrialRow:
    return make_row(
        job.spec,
        job.context,
        status=status,
        cause=f"{cause} ({place})" if place else cause,
        host=place.host if place else None,
        seconds=seconds,
        standalone_seconds=seconds,
        started_at=started.isoformat(timespec="seconds"),
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _causes(rows: list[Row]) -> str:
    counts = Counter(str(row["status"]) for row in rows)
    return ", ".join(f"{n} {status}" for status, n in sorted(counts.items()))
