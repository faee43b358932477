"""Where the jobs of a queue come from: the studies of a search, or a list made beforehand.

Jobs are of two kinds. Those of a study are *proposed*, one at a time, by what its trials have come
to. *Retrainings* need no proposal: their configs are known. They are races and confirmations in a
search, and all there is where the list is fixed.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from lmd_bench.core.schema import TrialContext
from lmd_bench.search.confirmation import confirmation_jobs
from lmd_bench.search.jobs import Job, Row, columns_needed, make_job, ranked, set_apart
from lmd_bench.search.proposing.lockstep import LockstepStudy
from lmd_bench.search.proposing.study import Study
from lmd_bench.search.racing import IsBehind, behind_on_val, race
from lmd_bench.search.request import SearchRequest
from lmd_bench.search.staging import study_specs


@runtime_checkable
class Store(Protocol):
    """What the queue needs of the results folder."""

    def get(self, key: str, /) -> Any:
        """Return the row of a key, None where there is none."""
        ...

    def look(self, columns: Sequence[str], studies: Collection[str], /) -> Any:
        """Return some columns of the rows of some studies, and the files that are damaged."""
        ...

    def write(self, row: Any, logits: Any = ()) -> None:
        """Write a row."""
        ...


@dataclass(frozen=True)
class Stored:
    """What a store holds of the jobs of a source, by key."""

    retrained: dict[str, Row] = field(default_factory=dict[str, Row])
    again: dict[str, Row] = field(default_factory=dict[str, Row])  # of trials that run once more
    damaged: tuple[Path, ...] = ()  # files of rows that cannot be read any more


@runtime_checkable
class Source(Protocol):
    """What a queue works through."""

    request: SearchRequest
    columns: tuple[str, ...]  # of rows, that it goes by
    studies: dict[str, Study]  # that propose trials, by id
    retrainings: dict[str, list[Job]]  # known by now, done or not, by the id of their study

    def ids(self) -> set[str]:
        """Return the studies whose rows it may add to, known before the store is read."""
        ...

    def read(self, store: Store) -> Stored:
        """Take up what the store holds, once, before anything else."""
        ...

    def propose(self) -> Job | None:
        """Return the next trial that a study wants to be run; None if none wants one now."""
        ...

    def tell(self, row: Row) -> None:
        """Take the row of a trial that was proposed."""
        ...

    def retrained(self, row: Row) -> None:
        """Take the row of a retraining."""
        ...


class Searched:
    """The studies of a request, and the confirmations of those that are finished."""

    def __init__(self, request: SearchRequest) -> None:
        """Search what `request` asks for; its resources are those of each trial."""
        self.request = request
        self.columns = columns_needed(request.objectives, request.pruner)
        self.studies: dict[str, Study] = {}
        self.retrainings: dict[str, list[Job]] = {}
        self._raced: dict[str, dict[str, Row]] = {}  # study -> key -> row of its race
        self._confirming: set[str] = set()  # studies whose confirmations are listed
        self._is_behind: IsBehind = behind_on_val(None)
        self._specs = study_specs(request)

    def ids(self) -> set[str]:
        """Return the ids of its studies; confirmations go by those."""
        return {spec.id for spec in self._specs}

    def read(self, store: Store) -> Stored:
        """Rebuild each study from its rows: it then proposes what it would have without a break."""
        by_study: dict[str, list[Row]] = {}
        self._is_behind = behind_on_val(store)
        found = store.look(self.columns, self.ids())
        for row in found.rows:
            by_study.setdefault(row["study"], []).append(row)
        stored = Stored(damaged=tuple(found.damaged))
        kind = LockstepStudy if self.request.deterministic else Study
        n_threads = self.request.cpus_per_trial or 1
        for spec in self._specs:
            stand, again = set_apart(by_study.get(spec.id, []), self.request.retry_failed)
            study = kind(spec, _of_search(stand), _of_search(again))
            study.clock.units = float(
                self.request.context(spec.task.dataset).gpu_share or n_threads
            )
            self.studies[spec.id] = study
            # Every confirmation counts, also one of a config that is no longer the selected one
            # because the budget has grown, or one that a person asked for by its key.
            stored.retrained.update((r["key"], r) for r in stand if r["phase"] != "search")
            self._raced[spec.id] = {r["key"]: r for r in stand if r["phase"] == "race"}
            stored.again.update((r["key"], r) for r in again)
        self._advance()
        return stored

    def propose(self) -> Job | None:
        """Return a trial of the study that has had the smallest share of its budget.

        Studies so end at about the same time, and a search that is cut off has treated its methods
        alike.
        """
        wanting = [study for study in self.studies.values() if study.wants_trial]
        if not wanting:
            return None
        study = min(wanting, key=lambda study: study.share)
        proposal = study.ask()
        context = replace(
            self._context(study),
            trial_number=proposal.trial_number,
            is_default=proposal.is_default,
            proposed_by=proposal.proposed_by,
            encoder_rank=proposal.encoder_rank,
            thresholds=study.thresholds(proposal),
            judged_from=study.judged_from(proposal.spec.config),
        )
        return make_job(proposal.spec, context)

    def tell(self, row: Row) -> None:
        """Take the row of a trial, which may finish its study and so open others."""
        self.studies[row["study"]].tell(row)
        self._advance()

    def retrained(self, row: Row) -> None:
        """Take the row of a retraining, which may end a round of a race."""
        if row["phase"] == "race":
            self._raced[row["study"]][row["key"]] = row
            self._advance()

    def _advance(self) -> None:
        # All trials on offer have to be done before a calibration starts on them: only then is it
        # known which of their encoders are the best.
        for study in self.studies.values():
            base = self.studies.get(study.spec.stands_on or "")
            if base is not None and not study.ready and base.offered is not None:
                study.open(base, self.request.top_k)
        # Confirmations are listed once, when the selected config can change no more. A study that
        # only feeds others is no method that was asked for, so it has none.
        for study in self.studies.values():
            if study.done and study.spec.requested and study.spec.id not in self._confirming:
                self._choose(study)

    def _choose(self, study: Study) -> None:
        """List the retrainings of a finished study: its race, and once that is over what won."""
        request, context = self.request, self._context(study)
        races, winner = request.select_top > 1, None
        jobs: list[Job] = []
        if races:
            jobs, winner = race(
                study,
                self._raced[study.spec.id],
                self._is_behind,
                top=request.select_top,
                n_rounds=request.select_seeds,
                base_seed=request.seed,
                context=context,
            )
        if winner is not None or not races or not ranked(study.rows):
            self._confirming.add(study.spec.id)
            jobs += confirmation_jobs(
                study, request.seed, request.confirm_seeds, context, request.robust, winner
            )
        self.retrainings[study.spec.id] = jobs

    def _context(self, study: Study) -> TrialContext:
        context = self.request.context(study.spec.task.dataset)
        return replace(
            context,
            repeat_of=study.spec.repeat_of,
            n_stage1_trials=study.n_stage1_trials,
            n_searched=len(study.spec.space),
            factor_range=study.spec.factor_range,
        )


class Fixed:
    """Jobs that are all known beforehand: nothing is searched, and what has a row is not run."""

    def __init__(self, request: SearchRequest, jobs: Iterable[Job]) -> None:
        """Run `jobs` with the resources of `request`."""
        self.request = request
        self.columns = columns_needed(request.objectives, request.pruner)
        self.studies: dict[str, Study] = {}
        self.retrainings: dict[str, list[Job]] = {}
        for job in jobs:
            self.retrainings.setdefault(job.spec.study, []).append(job)

    def ids(self) -> set[str]:
        """Return the studies that its jobs go by."""
        return set(self.retrainings)

    def read(self, store: Store) -> Stored:
        """Look up each job by its key."""
        keys = {job.key for jobs in self.retrainings.values() for job in jobs}
        found = store.look(self.columns, self.ids())
        rows = {row["key"]: row for row in found.rows if row["key"] in keys}
        # A mirror may have what is not here.
        missing = {key: row for key in keys - rows.keys() if (row := store.get(key)) is not None}
        return Stored(rows | missing, damaged=tuple(found.damaged))

    def propose(self) -> None:
        """Propose nothing."""

    def tell(self, row: Row) -> None:
        """Never called: nothing was proposed."""
        raise AssertionError("a fixed list has no search trials")

    def retrained(self, row: Row) -> None:
        """Do nothing: what is to run does not depend on what has run."""


def _of_search(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row["phase"] == "search"]
