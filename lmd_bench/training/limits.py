"""What ends a trial early: a score below what others of its study had, or its time limit."""

import time
from collections.abc import Callable

from lmd_bench.core.errors import OvertimeError, PrunedError
from lmd_bench.core.schema import OnEpoch, Progress, TrialContext

_PAUSE = 10.0  # seconds between two signs of life


class SharedWork:
    """What a trial does, or waits for, that all trials share: images prepared, features stored.

    It is no cost of the trial that happens to come first, and while it lasts the trial gives signs
    of life.
    """

    def __init__(self, on_wait: Callable[[], None]) -> None:
        """Start the clock.

        Args:
            on_wait: Is told now and then.
        """
        self.seconds = 0.0  # until the last of it
        self._on_wait = on_wait
        self._began = time.perf_counter()
        self._told = float("-inf")

    def __call__(self, *_: object) -> None:
        """Take note that a part of it is done, or is waited for."""
        now = time.perf_counter()
        self.seconds = now - self._began
        if now - self._told >= _PAUSE:
            self._told = now
            self._on_wait()


class Watch:
    """Passes a trial's epochs on, keeps them, and raises where the trial is to end."""

    def __init__(
        self,
        on_epoch: OnEpoch,
        context: TrialContext,
        on_wait: Callable[[], None] = lambda: None,
    ) -> None:
        """Start the clock; the limits are those of the context.

        Args:
            on_epoch: Is told of each epoch.
            context: Which has the limits.
            on_wait: Is told now and then while the trial waits for what another one trains.
        """
        self.seen: list[Progress] = []
        self._on_wait = on_wait
        self._waited = 0.0  # seconds, from the start on: a trial waits before it trains
        self._on_epoch = on_epoch
        self._thresholds = dict(context.thresholds)
        self._judged_from = context.judged_from
        self._seconds = context.time_limit
        self._began = time.monotonic()
        self._best = float("-inf")

    def __call__(self, progress: Progress) -> None:
        """Take an epoch.

        Raises:
            PrunedError: the best epoch of stage 1 so far, of those that may be kept, is below the
                threshold of this epoch.
            OvertimeError: the time limit is over.
        """
        self.seen.append(progress)
        self._on_epoch(progress)
        taken = time.monotonic() - self._began - self._waited
        if self._seconds is not None and taken > self._seconds:
            raise OvertimeError(
                f"{taken:.0f} s at {progress.stage} epoch {progress.epoch} of {progress.n_epochs}, "
                f"where {self._seconds:.0f} s are allowed"
            )
        # An epoch from before the method's deferral point is never kept, so it saves no trial.
        if progress.stage != "representation" or progress.epoch < self._judged_from:
            return
        self._best = max(self._best, progress.val_balanced_accuracy)
        threshold = self._thresholds.get(progress.epoch)
        if threshold is not None and self._best < threshold:
            raise PrunedError(
                f"best val balanced accuracy {self._best:.3f} by epoch {progress.epoch} of "
                f"{progress.n_epochs}, below {threshold:.3f}"
            )

    def starts_again(self) -> None:
        """Forget the epochs so far; the clock runs on, for it is one trial."""
        self.seen.clear()
        self._best = float("-inf")

    def waits(self) -> None:
        """Take note that the trial waits, which is none of its own time."""
        self._waited = time.monotonic() - self._began
        self._on_wait()

    @property
    def n_epochs(self) -> int:
        """Return how many epochs of stage 1 were trained."""
        return sum(progress.stage == "representation" for progress in self.seen)
