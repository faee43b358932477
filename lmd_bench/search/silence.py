"""Silence: how long a running trial may say nothing before it is taken for hung."""

import time
from collections.abc import Callable

UNKNOWN = 3600.0  # seconds before the first epoch of a search; images may have to be prepared
LEAST = 600.0  # seconds; a shared disk may be away for minutes
TIMES = 5.0  # the longest silence so far
PAST_LIMIT = 60.0  # seconds after a trial's own limit, at which it ends itself after an epoch


class Silence:
    """Listens to running trials, by their keys."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Listen to none; `clock` gives seconds."""
        self._clock = clock
        self._longest = 0.0  # between two epochs of one trial
        self._began: dict[str, float] = {}
        self._heard: dict[str, float] = {}
        self._epochs: set[str] = set()  # trials of which the last that was heard is an epoch

    def begins(self, key: str) -> None:
        """Listen to a trial from now on."""
        self._began[key] = self._heard[key] = self._clock()
        self._epochs.discard(key)

    def epoch(self, key: str) -> None:
        """Take note of an epoch."""
        if key in self._epochs:
            self._longest = max(self._longest, self._clock() - self._heard[key])
        self._epochs.add(key)
        self._heard[key] = self._clock()

    def waits(self, key: str) -> None:
        """Take note of a trial that lives and waits for another, at no cost of its own time."""
        self.begins(key)

    def ends(self, key: str) -> None:
        """Listen to a trial no more."""
        for known in (self._began, self._heard):
            known.pop(key, None)
        self._epochs.discard(key)

    def hung(self, limit: float | None) -> list[tuple[str, str]]:
        """Return the trials that are taken for hung, each with why.

        Args:
            limit: Seconds that a trial may take; it ends itself at its next epoch after that.
        """
        now, found = self._clock(), list[tuple[str, str]]()
        usual = max(LEAST, TIMES * self._longest) if self._longest else UNKNOWN
        for key, began in self._began.items():
            silent, taken = now - self._heard[key], now - began
            over = max(PAST_LIMIT, TIMES * self._longest)
            if limit is not None and taken > limit + over and silent > over:
                found.append(
                    (
                        key,
                        f"it took {taken:.0f} s where {limit:.0f} s are allowed, and "
                        f"was silent for {silent:.0f} s",
                    )
                )
            elif silent > usual:
                found.append((key, f"it was silent for {silent:.0f} s"))
        return found
