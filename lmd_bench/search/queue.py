"""The queue over all studies of a search: what runs next. Knows neither Ray nor torch.

Built from the store, so that the same request after any kind of death runs what is missing.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Protocol, runtime_checkable

from lmd_bench.core.schema import Status, TrialContext, TrialRow
from lmd_bench.search.confirmation import confirmation_jobs
from lmd_bench.search.jobs import Job, Row, is_stale, make_job, ranked, set_apart, value_of
from lmd_bench.search.proposing.lockstep import LockstepStudy
from lmd_bench.search.proposing.study import Study
from lmd_bench.search.request import SearchRequest
from lmd_bench.search.staging import study_specs
from lmd_bench.store.rows import make_row


@runtime_checkable
class Store(Protocol):
    """What the queue needs of the results folder."""

    def get(self, key: str, /) -> Any:
        """Return the row of a key, None where there is none."""
        ...

    def rows(self) -> Sequence[Any]:
        """Return all rows."""
        ...

    def write(self, row: Any, logits: Any = ()) -> None:
        """Write a row."""
        ...


class Signal(Enum):
    """What the queue answers where it has no job to give."""

    WAIT = "running trials decide what comes next"
    DONE = "nothing is left to run"


class JobQueue:
    """Search trials of all studies, evenly, then confirmations as studies finish.

    With `fixed`, these jobs alone: nothing is searched, and each is run that has no row yet. Those
    of one `study` stand together among `confirmations`.
    """

    def __init__(
        self, request: SearchRequest, store: Store, fixed: Sequence[Job] | None = None
    ) -> None:
        """Read what the store holds of the request's studies, or of the fixed jobs."""
        self.request = request
        self.studies: dict[str, Study] = {}
        self.confirmations: dict[str, list[Job]] = {}  # of finished studies, done or not
        self.confirmed: dict[str, Row] = {}  # key -> stored row
        self.running: dict[str, Job] = {}
        self._store = store
        self._before: dict[str, Row] = {}  # key -> row of a trial that runs again
        self._losses: Counter[str] = Counter()
        self._put_back: list[Job] = []
        self._alone: list[Job] = []  # these run when nothing else does
        self._trained: set[str] = set()  # encoders known to be in the cache
        self._started: dict[str, tuple[datetime, float]] = {}  # and by a clock that nobody sets
        by_study: dict[str, list[Row]] = {}
        for row in store.rows():
            by_study.setdefault(row["study"], []).append(row)
        for job in fixed or ():
            self.confirmations.setdefault(job.spec.study, []).append(job)
            if (row := store.get(job.key)) is not None:
                self.confirmed[job.key] = row
        for spec in study_specs(request) if fixed is None else ():
            rows, again = set_apart(by_study.get(spec.id, []), request.retry_failed)
            self._before |= {row["key"]: row for row in again}
            kind = LockstepStudy if request.deterministic else Study
            searched = ([r for r in some if r["phase"] == "search"] for some in (rows, again))
            self.studies[spec.id] = kind(spec, *searched)
            self.confirmed |= {r["key"]: r for r in rows if r["phase"] == "confirm"}
        self._advance()

    def next(self) -> Job | Signal:
        """Return a job that may start now, and count it as running."""
        if any(job.key in self.running for job in self._alone):
            return Signal.WAIT
        job = self._put_back.pop(0) if self._put_back else self._ready()
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
        if value_of(row) is not None:
            self._trained.add(job.encoder)
        if job.spec.phase == "search":
            self.studies[job.spec.study].tell(row)
            self._advance()
        else:
            self.confirmed[key] = row

    def ended(
        self, key: str, cause: str, alone: bool = False, status: Status = "lost"
    ) -> Row | None:
        """Take the row that the worker of a running job wrote; without one the job is lost."""
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
        self._losses[key] += 1
        if self._losses[key] < 2:
            job = self.running.pop(key)
            (self._alone if alone else self._put_back).append(job)
            return None
        row = _lost_row(self.running[key], status, cause, self._started[key])
        self._store.write(row)
        self.complete(key, row)
        return row

    def pending_confirmations(self, study_id: str) -> list[Job]:
        """Return the confirmations of a finished study that are neither done nor running."""
        jobs = self.confirmations.get(study_id, [])
        return [j for j in jobs if j.key not in self.confirmed and j.key not in self.running]

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
        return searched and not any(self.pending_confirmations(id) for id in self.confirmations)

    def n_stored(self) -> int:
        """Return how many rows the studies of this search have."""
        return len(self.confirmed) + sum(len(study.rows) for study in self.studies.values())

    def problems(self) -> list[str]:
        """Return a sentence for each requested study that gives no result."""
        found = [self._problem(study) for study in self.studies.values()]
        found += [self._all_failed(id) for id in self.confirmations if id not in self.studies]
        return [sentence for sentence in found if sentence]

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
        jobs = self.confirmations[name]
        if not jobs and self.request.confirm_seeds:
            return (
                f"{name}: nothing to confirm, because all {len(study.rows)} trials failed "
                f"({_causes(study.rows)})."
            )
        return self._all_failed(name, "confirmations")

    def _all_failed(self, name: str, kind: str = "runs") -> str:
        jobs = self.confirmations[name]
        rows = [self.confirmed[job.key] for job in jobs if job.key in self.confirmed]
        if rows and len(rows) == len(jobs) and not ranked(rows):
            return f"{name}: all {len(rows)} {kind} failed ({_causes(rows)})."
        return ""

    def _ready(self) -> Job | None:
        wanting = [study for study in self.studies.values() if study.wants_trial]
        if wanting:
            return self._ask(min(wanting, key=lambda study: study.share))
        waiting = {id: jobs for id in self.confirmations if (jobs := self._unstarted(id))}
        # A job whose encoder is being trained would wait for a lock: it goes last.
        training = {job.encoder for job in self.running.values()} - self._trained
        order = [
            (job.encoder in training, 1 - len(jobs) / len(self.confirmations[id]), place, job)
            for place, (id, jobs) in enumerate(waiting.items())
            for job in jobs
        ]
        return min(order, key=lambda entry: entry[:3])[3] if order else None

    def _unstarted(self, study_id: str) -> list[Job]:
        held = {job.key for job in (*self._put_back, *self._alone)}
        return [job for job in self.pending_confirmations(study_id) if job.key not in held]

    def _ask(self, study: Study) -> Job:
        proposal = study.ask()
        context = replace(
            self._context(study),
            trial_number=proposal.trial_number,
            is_default=proposal.is_default,
            encoder_rank=proposal.encoder_rank,
            thresholds=study.thresholds(proposal),
        )
        return make_job(proposal.spec, context)

    def _advance(self) -> None:
        """Open the studies whose encoders are ready; list the confirmations of finished ones."""
        for study in self.studies.values():
            base = self.studies.get(study.spec.stands_on or "")
            if base is not None and base.done and not study.ready:
                study.open(base.ranked_encoders(), self.request.top_k)
        for study in self.studies.values():
            if study.done and study.spec.requested and study.spec.id not in self.confirmations:
                self.confirmations[study.spec.id] = confirmation_jobs(
                    study, self.request.seed, self.request.confirm_seeds, self._context(study)
                )

    def _context(self, study: Study) -> TrialContext:
        return self.request.context(study.spec.task.dataset)


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
