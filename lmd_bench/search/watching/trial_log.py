"""The log of one trial, in a file of its own: when it began, each epoch, how it ended."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lmd_bench.core.schema import Progress


class TrialLog:
    """Appends to `logs/trials/<key>.log`; a disk that refuses it does not end the trial."""

    def __init__(self, results: Path, key: str) -> None:
        """Make the folder; the file comes with the first line."""
        self._path = results / "logs" / "trials" / f"{key}.log"
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)

    def say(self, text: str) -> None:
        """Write a line, with the time in UTC before it."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with suppress(OSError), self._path.open("a") as file:
            file.write(f"{now} {text}\n")

    def __call__(self, progress: Progress) -> None:
        """Write an epoch."""
        self.say(
            f"{progress.stage} epoch {progress.epoch}/{progress.n_epochs}: loss "
            f"{progress.loss:.4g}, val balanced accuracy {progress.val_balanced_accuracy:.4f}"
        )

    def ended(self, row: Mapping[str, Any]) -> None:
        """Write how the trial ended."""
        cause = f", {row['cause']}" if row["cause"] else ""
        self.say(f"{row['status']}{cause}, after {row['seconds']:.1f} s")
