"""A study whose trials do not depend on which of them end first: --deterministic.

Trials are asked in order and in batches. The sampler learns of a batch when all of it has ended, in
the order of the trials, so what it draws is the same at any concurrency. A resumed search asks the
sampler for everything again, and takes from the store what it holds.
"""

from collections.abc import Iterable

from lmd_bench.methods.space import Space
from lmd_bench.search.jobs import Row
from lmd_bench.search.proposing.study import Proposal, Study
from lmd_bench.search.staging import StudySpec

BATCH = 4  # trials; fixed, because what is drawn depends on it


class LockstepStudy(Study):
    """A study that proposes in batches."""

    def __init__(self, spec: StudySpec, rows: Iterable[Row], again: Iterable[Row] = ()) -> None:
        """Take up the search rows that the store holds; what runs again is asked for anew."""
        self._asked: list[Proposal] = []  # all of them, in order
        self._n_told = 0
        self._upcoming: Proposal | None = None
        super().__init__(spec, rows)

    @property
    def wants_trial(self) -> bool:
        """Say whether a further trial may start before one that runs has ended."""
        return self._upcoming is not None and super().wants_trial

    def ask(self) -> Proposal:
        """Return the next trial."""
        assert self._upcoming is not None, "a study is asked when it wants a trial"
        proposal = self._upcoming
        self.running[proposal.spec.key] = proposal
        self._go_on()
        return proposal

    def tell(self, row: Row) -> None:
        """Take the row of a trial that was asked for."""
        del self.running[row["key"]]
        self.rows.append(row)
        self._go_on()

    def _told_rows(self) -> list[Row]:
        # Of the batches that have ended alone: which others have is a matter of how many run.
        told = {proposal.spec.key for proposal in self._asked[: self._n_told]}
        return [row for row in self.rows if row["key"] in told]

    def _begin(self, space: Space) -> None:
        self._proposals = self._no_proposals(space)
        self._go_on()

    def _go_on(self) -> None:
        """Tell every batch that has ended, and ask up to the next trial that has to be run."""
        rows = {row["key"]: row for row in self.rows}
        while self._upcoming is None or self._upcoming.spec.key in {*rows, *self.running}:
            self._upcoming = None
            batch = self._asked[self._n_told :]
            if len(batch) == BATCH:
                if not all(proposal.spec.key in rows for proposal in batch):
                    return
                for proposal in batch:
                    self._learn(proposal, rows[proposal.spec.key])
                self._n_told += BATCH
            if len(self._asked) >= self.budget:
                return
            seen = {proposal.spec.key for proposal in self._asked}
            self._upcoming = self._propose(len(self._asked), seen)
            self._asked.append(self._upcoming)
