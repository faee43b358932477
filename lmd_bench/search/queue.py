"""The queue over all jobs of a search: what runs next. Knows neither Ray nor torch.

Built from the store, so that the same request after any kind of death runs what is missing.
"""

import time
from collections import Counter
from datetime import UTC, datetime
from enum import Enum

from lmd_bench.core.schema import Status, TrialRow
from lmd_bench.search.jobs import Job, Row, is_stale, ranked, value_of
from lmd_bench.search.proposing.study import Study
from lmd_bench.search.request import SearchRequest
from lmd_bench.search.sources import Source, Store
from lmd_bench.store.rows import make_row


class Signal(Enum):
    """What the queue answers where it has no job to give."""

    WAIT = "running trials decide what comes next"
    DONE = "nothing is left to run"


class JobQueue:
    """What a source wants to be run: first what its studies propose, then its retrainings.

    A job is in one of four places: not started, `running`, put back after its worker died, or done,
    which is a row in the store.
    """

    def __init__(self, source: Source, store: Store) -> None:
        """Read what the store holds of the source's jobs."""
        self.running: dict[str, Job] = {}
        self._source = source
        self._store = store
        self._losses: Counter[str] = Counter()
        self._put_back: list[Job] = []
        self._alone: list[Job] = []  # these run when nothing else does
        self._trained: set[str] = set()  # encoders known to be in the cache
        self._started: dict[str, tuple[datetime, float]] = {}  # and by a clock that nobody sets
        stored = source.read(store)
        self.retrained = stored.retrained  # key -> row
        self._before = stored.again  # key -> row of a trial that runs again

    @property
    def request(self) -> SearchRequest:
        """Return what was asked for, with the resources of each trial."""
        return self._source.request

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
        # What was lost with an innocent worker goes first: others may wait for its result.
        job = self._put_back.pop(0) if self._put_back else self._source.propose()
        job = job or self._next_retraining()
        # Suspects come last, one by one. Each stays in the list until it has ended, which is what
        # holds the others off above.
        if job is None and not self.running:
            job = self._alone[0] if self._alone else None
        if job is None:
            return Signal.WAIT if self.running else Signal.DONE
        self.running[job.key] = job
        self._started[job.key] = datetime.now(UTC), time.monotonic()
        return job

    def complete(self, key: str, row: Row) -> None:
        """Take the row of a running job."""
        job = self.running.pop(key)
        self._alone = [other for other in self._alone if other.key != key]
        # A trial that ended well has trained its encoder, or found it in the cache.
        if value_of(row) is not None:
            self._trained.add(job.encoder)
        if job.spec.phase == "search":
            self._source.tell(row)
        else:
            self.retrained[key] = row

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
        # Once may be the machine's fault; a job that kills its worker twice would do so for ever.
        self._losses[key] += 1
        if self._losses[key] < 2:
            job = self.running.pop(key)
            (self._alone if alone else self._put_back).append(job)
            return None
        row = _lost_row(self.running[key], status, cause, self._started[key])
        self._store.write(row)
        self.complete(key, row)
        return row

    def pending(self, study_id: str) -> list[Job]:
        """Return the retrainings of a study that are neither done nor running."""
        jobs = self.retrainings.get(study_id, [])
        return [j for j in jobs if j.key not in self.retrained and j.key not in self.running]

    def blocked(self, study: Study) -> bool:
        """Say whether a calibration study has no encoder, because every stage 1 failed."""
        base = self.studies.get(study.spec.stands_on or "")
        return base is not None and base.done and not study.ready

    @property
    def finished(self) -> bool:
        """Say whether nothing runs and nothing is left to run."""
        if self.running or self._put_back or self._alone:
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
            return (
                f"{name}: no calibration could run, because all {len(base.rows)} trials of "
                f"{base.spec.method.name} failed ({_causes(base.rows)})."
            )
        if not study.done or not study.spec.requested:
            return ""
        jobs = self.retrainings[name]
        if not jobs and self.request.confirm_seeds:
            return (
                f"{name}: nothing to confirm, because all {len(study.rows)} trials failed "
                f"({_causes(study.rows)})."
            )
        return self._all_failed(name, "confirmations")

    def _all_failed(self, name: str, kind: str = "runs") -> str:
        jobs = self.retrainings[name]
        rows = [self.retrained[job.key] for job in jobs if job.key in self.retrained]
        if rows and len(rows) == len(jobs) and not ranked(rows):
            return f"{name}: all {len(rows)} {kind} failed ({_causes(rows)})."
        return ""

    def _next_retraining(self) -> Job | None:
        """Return the retraining that starts next; None if all have started."""
        held = {job.key for job in (*self._put_back, *self._alone)}
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


def _lost_row(job: Job, status: Status, cause: str, began: tuple[datetime, float]) -> TrialRow:
    started, clock = began
    seconds = time.monotonic() - clock
    return make_row(
        job.spec,
        job.context,
        status=status,
        cause=cause,
        seconds=seconds,
        standalone_seconds=seconds,
        started_at=started.isoformat(timespec="seconds"),
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _causes(rows: list[Row]) -> str:
    counts = Counter(str(row["status"]) for row in rows)
    return ", ".join(f"{n} {status}" for status, n in sorted(counts.items()))
