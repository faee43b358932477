"""A budget of hours: a ceiling for what has ended, what runs, and what may still start."""

import time
from collections.abc import Sequence

from lmd_bench.search import jobs
from lmd_bench.search.jobs import Row


class Clock:
    """What the trials of a study have cost and cost by now, in hours of what each of them holds."""

    def __init__(self) -> None:
        """Start with no trial."""
        self.units = 1.0  # GPUs, or cores where there is none, that a trial holds
        self.now = time.monotonic
        self._began: dict[str, float] = {}  # key -> when the running trial was asked for
        self._lost = 0.0  # hours of what left no row

    def begins(self, key: str) -> None:
        """Take note of a trial that is asked for."""
        self._began[key] = self.now()

    def ends(self, key: str) -> None:
        """Take note of a trial that is told of; its row says what it cost."""
        self._began.pop(key, None)

    def charge(self, seconds: float) -> None:
        """Charge what a trial cost that left no row."""
        self._lost += seconds * self.units / 3600

    def allowed(
        self, hours: float, rows: Sequence[Row], running: Sequence[str], *, alone: bool
    ) -> int:
        """Return how many trials a budget allows, with those that have ended and those that run.

        A trial starts only where it is expected to end within the budget, beside those that run.
        The first one runs in any case.

        Args:
            hours: The budget.
            rows: Of the trials that have ended.
            running: Keys of those that run.
            alone: Whether a trial counts with the training of its stage 1.
        """
        spent = sum(jobs.hours_of(row) for row in rows) + self._lost
        typical = jobs.typical_hours(rows, alone=alone)
        n_started = len(rows) + len(running)
        # Until a trial that came to its end tells what one costs, one runs at a time. A trial that
        # failed at once says nothing of what the others will take.
        if typical is None:
            over = spent >= hours and rows
            return n_started if over else len(rows) + max(1, len(running))
        # What runs is reserved at what a trial takes, or has taken already.
        now = self.now()
        taken = [(now - self._began.get(key, now)) * self.units / 3600 for key in running]
        left = hours - spent - sum(max(typical, of_trial) for of_trial in taken)
        # The small number keeps rounding from taking a trial away.
        return n_started + max(0, int(left / typical + 1e-9))


def paid_by(hours: float, rows: Sequence[Row]) -> int | None:
    """Return how many of some trials, in their order, a budget pays for; None: for all of them."""
    spent = 0.0
    for n, row in enumerate(rows):
        spent += jobs.hours_of(row)
        if spent > hours:
            # The first one runs in any case.
            return max(1, n)
    return None
