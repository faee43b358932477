"""Tune's scheduler, which stops nothing here: it passes on why a worker died.

Tune tells a searcher only that a trial failed; the scheduler is told first, with the error.
"""

from pathlib import Path
from typing import Any

from ray.tune.schedulers import FIFOScheduler

from lmd_bench.core.schema import Status
from lmd_bench.search.tune.adapters import LOST, QueueSearcher

# what Ray's text of the error holds -> the status, and the cause in our words; the first that fits
_DEATHS: tuple[tuple[str, Status, str], ...] = (
    ("low on memory", "oom", "host memory ran out, and Ray's memory monitor killed the process"),
    ("OutOfMemory", "oom", "host memory ran out, and Ray's memory monitor killed the process"),
    ("node has died", "node_lost", "the node that it ran on went away"),
    ("node was terminated", "node_lost", "the node that it ran on went away"),
    ("node is dead", "node_lost", "the node that it ran on went away"),
)


class Witness(FIFOScheduler):
    """First come, first served; tells the searcher how trials died."""

    def __init__(self, searcher: QueueSearcher) -> None:
        """Tell `searcher`."""
        super().__init__()
        self._searcher = searcher

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles its scheduler for a restore that is never used."""
        return {}

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Read what Ray says of a trial's death."""
        file = trial.error_file
        text = Path(file).read_text(errors="replace") if file and Path(file).is_file() else ""
        self._searcher.died(trial.trial_id, *death(text))
        super().on_trial_error(tune_controller, trial)


def death(text: str) -> tuple[Status, str]:
    """Return the status and cause of a death that Ray describes with `text`."""
    for words, status, cause in _DEATHS:
        if words in text:
            return status, cause
    return "lost", LOST
