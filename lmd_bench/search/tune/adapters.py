"""The queue as a Tune `Searcher`: Tune asks it for trials and tells it how they ended."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray.tune import Callback
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from lmd_bench.core.outside import shipped
from lmd_bench.core.schema import Progress, Status
from lmd_bench.search.display import Display
from lmd_bench.search.jobs import Job, job_name
from lmd_bench.search.places import Place
from lmd_bench.search.queue import JobQueue, Signal
from lmd_bench.search.silence import Silence
from lmd_bench.search.tune.cluster import LOCAL

LOST = "the process that ran it died"
PREEMPTED = "the node that it ran on was taken away"
# what Ray's text of the error holds -> the status, and the cause in our words; the first that fits
_DEATHS: tuple[tuple[str, Status, str], ...] = (
    ("low on memory", "oom", "host memory ran out, and Ray's memory monitor killed the process"),
    ("OutOfMemory", "oom", "host memory ran out, and Ray's memory monitor killed the process"),
    ("node has died", "node_lost", "the node that it ran on went away"),
    ("node was terminated", "node_lost", "the node that it ran on went away"),
    ("node is dead", "node_lost", "the node that it ran on went away"),
)
_NOT_COUNTED = "Failure # 0 "  # what Tune writes of a death that is a preemption
SECONDS = 10.0  # between two looks at the nodes of a cluster
NO_ROOM = 60.0  # seconds without a trial that has started, after which it is said
LEAST_PAUSE = (
    0.2  # seconds between two epochs that a worker tells of; a calibration's take milliseconds
)
EPOCHS_HEARD = 500  # a second, of all workers together: half of what Tune takes in
_LONGEST = 300  # characters of a cause


class NodeLostError(Exception):
    """The Ray node of the search itself is gone: nothing that waits for it would ever run."""


class QueueSearcher(Searcher):
    """Hands jobs of a queue to Tune. The queue and the store know the state, this knows none."""

    def __init__(
        self,
        queue: JobQueue,
        display: Display,
        n_slots: int,
        *,
        changed: Callable[[], None] = lambda: None,
        disk_works: Callable[[], bool] = lambda: True,
        each_round: Callable[[], None] = lambda: None,
    ) -> None:
        """Serve `queue`.

        Args:
            queue: What is run.
            display: Is shown what happens.
            n_slots: Trials at once.
            changed: Is called when a place was put out of use.
            each_round: Is called after trials have ended.
            disk_works: Whether this process can write where a worker says that it cannot.
        """
        super().__init__()
        self.refusal = ""  # what a worker found wrong with the data or the request
        self.n_slots = n_slots
        self._each_round = each_round
        self._has_ended = False  # a trial, since the last round
        self._queue = queue
        self._display = display
        self._changed = changed
        self._disk_works = disk_works
        self._jobs: dict[str, Job] = {}  # by Tune's trial id
        self._held: dict[str, tuple[str, Place]] = {}  # trials that hold a slot: job, place
        self._refused: set[str] = set()  # what workers of some place refused
        self._silence = Silence()
        self._unplaced: dict[str, float] = {}  # trials that have found no room yet, and since when
        self._said_full = False
        self._ended: dict[str, tuple[Status, str]] = {}  # trials that were ended as hung, and why
        self._deaths: dict[str, tuple[Status, str]] = {}  # how a worker died, and why
        self._suspicious = False  # a job was lost since the node was last looked at
        self._looked = time.monotonic()  # at the node

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles its searcher for a restore that is never used."""
        return {}

    def suggest(self, trial_id: str) -> Any:
        """Return the next job as plain data, None while there is none, or FINISHED.

        Raises:
            NodeLostError: a job was lost because this node's Ray died. Tune alone would wait on.
        """
        # After a loss it is looked at at once: to ask Ray for its nodes takes time at every trial.
        if self._suspicious:
            self.check_node()
        # What one worker refuses, every worker would: let those that run come to their end.
        if self.refusal:
            return None if self._jobs else "FINISHED"
        # A slot that is held is no slot for the time being, and a cluster may have others.
        if len(self._jobs) >= self.n_slots:
            return None
        job = self._queue.next()
        if isinstance(job, Signal):
            return "FINISHED" if job is Signal.DONE else None
        self._jobs[trial_id] = job
        self._unplaced[trial_id] = time.monotonic()
        self._display.started(job)
        # The driver hears of some thousand epochs a second, and a worker waits until it is heard.
        pause = max(LEAST_PAUSE, self.n_slots / EPOCHS_HEARD)
        return {"job": job.to_payload(), "plugins": shipped(), "pause": pause}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Show an epoch of a running trial."""
        if "waits" in result:
            self._silence.waits(trial_id)
        if "stage" in result:
            self._silence.epoch(trial_id)
            fields = ("stage", "epoch", "n_epochs", "loss", "val_balanced_accuracy")
            self._display.advanced(
                self._jobs[trial_id], Progress(**{name: result[name] for name in fields})
            )

    def died(self, trial_id: str, status: Status, cause: str) -> None:
        """Take note of how the worker of a trial died, just before Tune tells that it did."""
        self._deaths[trial_id] = (status, cause)

    def placed(self, trial_id: str, place: Place) -> bool:
        """Say whether a trial may go on where it has landed; else it holds its slot."""
        self._unplaced.pop(trial_id, None)
        job = self._jobs[trial_id]
        if self._queue.placed(job.key, place):
            self._silence.begins(trial_id)
            return True
        del self._jobs[trial_id]
        self._held[trial_id] = (job.key, place)
        return False

    def each_round(self) -> None:
        """Do what is to be done after trials have ended."""
        if self._has_ended:
            self._has_ended = False
            self._each_round()

    def check_node(self) -> None:
        """Look whether the search still has a Ray node.

        Raises:
            NodeLostError: it has died.
        """
        self._suspicious, self._looked = False, time.monotonic()
        here = ray.get_runtime_context().get_node_id()
        if here not in {node["NodeID"] for node in ray.nodes() if node["Alive"]}:
            raise NodeLostError("the Ray node of the search died")

    def check_node_at_times(self) -> None:
        """Look for it every `SECONDS`: of workers that die with their node Tune may never hear.

        Raises:
            NodeLostError: it has died.
        """
        if time.monotonic() - self._looked >= SECONDS:
            self.check_node()

    def look_for_room(self) -> None:
        """Say it once where no trial finds room: Ray waits for ever, and silently."""
        if self._said_full or not self._unplaced or len(self._unplaced) < len(self._jobs):
            return
        seconds = time.monotonic() - min(self._unplaced.values())
        if seconds > NO_ROOM:
            self._said_full = True
            self._display.note(f"No trial has started for {seconds:.0f} s. {self._no_room()}")

    def _no_room(self) -> str:
        request = self._queue.request
        # Nobody else has a share of a cluster of our own.
        if request.address == LOCAL:
            return "This machine is busy, and its workers are still starting."
        free = ray.available_resources()
        return (
            f"Each takes {request.cpus_per_trial} cores and {request.gpus_per_trial:g} GPUs of one "
            f"node; free in the whole cluster are {free.get('CPU', 0):g} cores and "
            f"{free.get('GPU', 0):g} GPUs. Others may use the rest; the search goes on as soon as "
            "there is room."
        )

    def hung(self) -> list[str]:
        """Return the trials that are to be ended because they say nothing; each once."""
        limit = self._queue.request.trial_seconds
        fresh = [pair for pair in self._silence.hung(limit) if pair[0] not in self._ended]
        for trial_id, why in fresh:
            cause = f"the process that ran it hung: {why}"
            self._ended[trial_id] = ("lost" if limit is None else "timeout", cause)
            self._display.note(f"{job_name(self._jobs[trial_id])}: {cause}; it is ended now")
        return [trial_id for trial_id, _ in fresh]

    def may_release(self, trial_id: str) -> bool:
        """Say whether a trial that holds a slot may be ended."""
        return bool(self.refusal) or self._queue.may_release(*self._held[trial_id])

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Take the end of a trial, which the store tells more of than Tune does."""
        # It held a slot for nobody.
        if self._held.pop(trial_id, None) is not None:
            return
        self._silence.ends(trial_id)
        self._has_ended = True
        self._unplaced.pop(trial_id, None)
        job, told = self._jobs.pop(trial_id), result or {}
        status, cause = self._deaths.pop(trial_id, ("lost", LOST))
        status, cause = self._ended.pop(trial_id, (status, cause))
        if not error and (text := told.get("broken") or told.get("refusal", "")):
            if self._ends_search(job, text, told):
                self.refusal = text
                return
            status, cause = "error", text[:_LONGEST]
        if error and cause == PREEMPTED:
            self._queue.preempted(job.key)
            row = None
        else:
            # Tune says only that it ended; the queue looks for the row that the worker wrote.
            row = self._queue.ended(job.key, cause, status=status)
        self._suspicious = self._suspicious or row is None
        self._display.finished(job, row)
        if self._queue.said:
            self._changed()
        while self._queue.said:
            self._display.note(self._queue.said.pop(0))

    def _ends_search(self, job: Job, text: str, told: dict[str, Any]) -> bool:
        """Say whether what a worker could not use, no worker could."""
        if "broken" in told:
            return bool(told.get("disk")) and not self._disk_works()
        # Data that one machine lacks may be on another; what two places refuse, all would.
        place = self._queue.places.of(job.key)
        alone = place is None or not self._queue.places.others(place)
        refused_before = text in self._refused
        self._refused.add(text)
        return alone or refused_before

    def all_lost(self, cause: str, *, with_node: bool = False) -> None:
        """Put back what ran when Tune itself died; nobody knows which trial was to blame.

        Args:
            cause: For the rows of those that are written off.
            with_node: Their node died. A Ray that is dying still takes trials; one that had not
                begun was not to blame, and has lost nothing.
        """
        for trial_id, job in self._jobs.items():
            if with_node and trial_id in self._unplaced:
                self._queue.preempted(job.key)
                self._display.finished(job, None)
            else:
                self._display.finished(job, self._queue.ended(job.key, cause, alone=True))
        self._jobs.clear()
        self._unplaced.clear()
        self._silence = Silence()

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: a search resumes from the store."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing: a search resumes from the store."""


class Witness(FIFOScheduler):
    """First come, first served; tells the searcher where trials run and how they died."""

    def __init__(self, searcher: QueueSearcher) -> None:
        """Tell `searcher`."""
        super().__init__()
        self._searcher = searcher
        self._held: dict[str, tuple[Any, Any]] = {}  # Tune's controller and trial, by its id
        self._actors: dict[str, Any] = {}  # of running trials

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles its scheduler for a restore that is never used."""
        return {}

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Let a trial go on, unless it has landed where its job is not to run."""
        if "node" not in result:
            return self.CONTINUE
        self._actors[trial.trial_id] = trial.temporary_state.ray_actor
        place = Place(result["node"], result["host"], result["gpu"])
        if self._searcher.placed(trial.trial_id, place):
            return self.CONTINUE
        # Neither on nor ended: the worker waits, and its slot with it.
        self._held[trial.trial_id] = (tune_controller, trial)
        return self.NOOP

    def release(self) -> None:
        """End the trials whose slots may be given to other jobs."""
        free = [trial_id for trial_id in self._held if self._searcher.may_release(trial_id)]
        for controller, trial in [self._held.pop(trial_id) for trial_id in free]:
            controller.stop_trial(trial)

    def end_hung(self) -> None:
        """Kill the workers of trials that say nothing; Tune then hears of their deaths."""
        for trial_id in self._searcher.hung():
            actor = self._actors.get(trial_id)
            if actor is not None:
                ray.kill(actor, no_restart=True)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Read what Ray says of a trial's death."""
        self._held.pop(trial.trial_id, None)
        self._actors.pop(trial.trial_id, None)
        file = trial.error_file
        text = Path(file).read_text(errors="replace") if file and Path(file).is_file() else ""
        self._searcher.died(trial.trial_id, *death(text))
        super().on_trial_error(tune_controller, trial)


class Growth:
    """Follows a cluster that is joined as nodes come and go."""

    def __init__(self, searcher: QueueSearcher, count: Callable[[], int]) -> None:
        """Give `searcher` as many slots as `count` finds, every `SECONDS`."""
        self._searcher = searcher
        self._count = count
        self._last = time.monotonic()

    def __call__(self) -> None:
        """Look, if it is time."""
        if time.monotonic() - self._last >= SECONDS:
            # Never none: what is in use elsewhere may come back.
            self._searcher.n_slots = max(1, self._count())
            self._last = time.monotonic()


class Rounds(Callback):
    """Calls something after each of Tune's rounds, ten a second and more."""

    def __init__(self, *each: Callable[[], None]) -> None:
        """Call `each`."""
        self._each = each

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Do so."""
        for call in self._each:
            call()


def death(text: str) -> tuple[Status, str]:
    """Return the status and cause of a death that Ray describes with `text`."""
    if text.startswith(_NOT_COUNTED):
        return "node_lost", PREEMPTED
    for words, status, cause in _DEATHS:
        if words in text:
            return status, cause
    # An exception that left the process unsound is the last line of Ray's text.
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if "Traceback" in text or "ray::" in text:
        return "lost", lines[-1][:_LONGEST]
    detail = text.partition("Worker exit detail:")[2] or text.partition("finishing this task.")[2]
    detail = " ".join(detail.split())
    return "lost", f"{LOST}: {detail}"[:_LONGEST] if detail else LOST
