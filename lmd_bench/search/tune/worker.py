"""What a Ray worker runs: one job, whose row it writes itself."""

import os
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from typing import Any

import ray
from ray import tune

from lmd_bench.core.errors import BrokenPlaceError, DiskError, UserError
from lmd_bench.core.outside import adopt
from lmd_bench.core.schema import Progress
from lmd_bench.search.jobs import from_payload, job_name
from lmd_bench.search.watching.traces import Heartbeat, TrialLog
from lmd_bench.store.mirror import Mirror

SECONDS = 1.0  # between two looks at whether the parent lives


class Reporter:
    """Passes a trial's epochs on to Tune, with a pause of some seconds between two."""

    def __init__(self, pause: float) -> None:
        """Start with a report that is due."""
        self._pause = pause
        self._last = float("-inf")

    def __call__(self, progress: Progress) -> None:
        """Report an epoch."""
        if time.monotonic() - self._last >= self._pause:
            tune.report(asdict(progress))
            self._last = time.monotonic()


def run_job(config: Mapping[str, Any]) -> None:
    """Run the job of a Tune trial. Ordinary failures are rows; what raises ends the worker."""
    # A raylet that is killed leaves its workers behind, with the locks of the encoders they train.
    end_with_parent()
    # First of all, before torch is imported: what dies from here on died at this place.
    # Where the job is not to run here, the driver leaves this unanswered until it ends the trial,
    # so that nothing else lands here meanwhile.
    tune.report(here())
    # Before anything else here looks for a plug-in: this may be another machine.
    adopt(config["plugins"])
    from lmd_bench.training.trial import execute_trial  # torch, which the driver does not need

    job = from_payload(config["job"])
    heartbeat = Heartbeat(job.context.results, job.key, job.spec.study, job_name(job))
    log = TrialLog(job.context.results, job.key)
    log.say(f"{job_name(job)} of {job.spec.study} on {socket.gethostname()}, process {os.getpid()}")
    to_tune = Reporter(config["pause"])

    def on_epoch(progress: Progress) -> None:
        heartbeat(progress)
        log(progress)
        to_tune(progress)

    def on_wait() -> None:
        heartbeat.waits()
        tune.report({"waits": True})

    # The row goes to the store before Tune hears of it: what Tune loses is not lost.
    try:
        row = execute_trial(job.spec, job.context, on_epoch, on_wait)
        log.ended(row)
        if job.context.mirror:
            # Where the folder is shared too, the driver finds the row all the same.
            try:
                Mirror(job.context.mirror, job.context.results).push([job.key])
            except OSError as error:
                raise BrokenPlaceError(str(error)) from error
    except UserError as error:
        # No row: of a machine's fault, or of data or a request that no trial could run with.
        log.say(str(error))
        kind = "broken" if isinstance(error, BrokenPlaceError) else "refusal"
        tune.report({kind: str(error), "disk": isinstance(error, DiskError)})
        return
    finally:
        heartbeat.close()
    tune.report({key: row[key] for key in ("key", "status", "val_balanced_accuracy")})


def here() -> dict[str, str]:
    """Return the place of this process, as plain data."""
    context = ray.get_runtime_context()
    gpus = context.get_accelerator_ids().get("GPU", [])
    return {
        "node": context.get_node_id(),
        "host": socket.gethostname(),
        "gpu": "+".join(str(gpu) for gpu in gpus),
    }


@cache  # one watch for each process, however many trials it runs
def end_with_parent() -> None:
    """Watch this process's parent from a thread; end the process at once when it has another."""
    threading.Thread(target=_watch, args=(os.getppid(),), name="orphan-watch", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(SECONDS)
    os._exit(1)  # the operating system frees its locks; what it half wrote has a temporary name
