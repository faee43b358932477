"""The queue as a Tune `Searcher`: Tune asks it for trials and tells it how they ended."""

from pathlib import Path
from typing import Any

import ray
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from lmd_bench.core.outside import shipped
from lmd_bench.core.schema import Progress, Status
from lmd_bench.search.display import Display
from lmd_bench.search.jobs import Job
from lmd_bench.search.queue import JobQueue, Signal

LOST = "the process that ran it died; kill -9, out of host memory, or a node that went away"
# what Ray's text of the error holds -> the status, and the cause in our words; the first that fits
_DEATHS: tuple[tuple[str, Status, str], ...] = (
    ("low on memory", "oom", "host memory ran out, and Ray's memory monitor killed the process"),
    ("OutOfMemory", "oom", "host memory ran out, and Ray's memory monitor killed the process"),
    ("node has died", "node_lost", "the node that it ran on went away"),
    ("node was terminated", "node_lost", "the node that it ran on went away"),
    ("node is dead", "node_lost", "the node that it ran on went away"),
)


class NodeLostError(Exception):
    """The Ray node of the search itself is gone: nothing that waits for it would ever run."""


class QueueSearcher(Searcher):
    """Hands jobs of a queue to Tune. The queue and the store know the state, this knows none."""

    def __init__(self, queue: JobQueue, display: Display) -> None:
        """Serve `queue`, and show on `display` what happens."""
        super().__init__()
        self.refusal = ""  # what a worker found wrong with the data or the request
        self._queue = queue
        self._display = display
        self._jobs: dict[str, Job] = {}  # by Tune's trial id
        self._deaths: dict[str, tuple[Status, str]] = {}  # how a worker died, and why
        self._suspicious = False  # a job was lost since the node was last looked at

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles its searcher for a restore that is never used."""
        return {}

    def suggest(self, trial_id: str) -> Any:
        """Return the next job as plain data, None while there is none, or FINISHED.

        Raises:
            NodeLostError: a job was lost because this node's Ray died. Tune alone would wait on.
        """
        # Looked at only after a loss: to ask Ray for its nodes takes time at every trial.
        if self._suspicious:
            _check_node()
            self._suspicious = False
        # What one worker refuses, every worker would: let those that run come to their end.
        if self.refusal:
            return None if self._jobs else "FINISHED"
        job = self._queue.next()
        if isinstance(job, Signal):
            return "FINISHED" if job is Signal.DONE else None
        self._jobs[trial_id] = job
        self._display.started(job)
        return {"job": job.to_payload(), "plugins": shipped()}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Show an epoch of a running trial."""
        if "stage" in result:
            fields = ("stage", "epoch", "n_epochs", "loss", "val_balanced_accuracy")
            self._display.advanced(
                self._jobs[trial_id], Progress(**{name: result[name] for name in fields})
            )

    def died(self, trial_id: str, status: Status, cause: str) -> None:
        """Take note of how the worker of a trial died, just before Tune tells that it did."""
        self._deaths[trial_id] = (status, cause)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Take the end of a trial, which the store tells more of than Tune does."""
        job = self._jobs.pop(trial_id)
        self.refusal = self.refusal or (result or {}).get("refusal", "")
        if self.refusal:  # the search is about to end with it
            return
        # Tune says only that it ended; the queue looks for the row that the worker wrote.
        status, cause = self._deaths.pop(trial_id, ("lost", LOST))
        row = self._queue.ended(job.key, cause, status=status)
        self._suspicious = self._suspicious or row is None
        self._display.finished(job, row)

    def all_lost(self, cause: str) -> None:
        """Put back what ran when Tune itself died; nobody knows which trial was to blame."""
        for job in self._jobs.values():
            self._display.finished(job, self._queue.ended(job.key, cause, alone=True))
        self._jobs.clear()

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: a search resumes from the store."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing: a search resumes from the store."""


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


def _check_node() -> None:
    here = ray.get_runtime_context().get_node_id()
    if here not in {node["NodeID"] for node in ray.nodes() if node["Alive"]}:
        raise NodeLostError("the Ray node of the search died")
