"""A store in memory and a trial that is a formula: the queue without Ray, torch or files."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from lmd_bench.core.schema import TaskSpec
from lmd_bench.search.jobs import Job
from lmd_bench.search.queue import JobQueue, Signal
from lmd_bench.search.request import SearchRequest
from lmd_bench.search.sources import Searched
from lmd_bench.store.store import Look

Row = dict[str, Any]
TASK = (TaskSpec("synthetic", imbalance_factor=20.0, image_size=32), "f" * 20)


class MemoryStore:
    """Rows in a dict, kept as the real store keeps them."""

    def __init__(self, rows: list[Row] | None = None) -> None:
        self.by_key: dict[str, Row] = {row["key"]: row for row in rows or []}

    def get(self, key: str) -> Row | None:
        return self.by_key.get(key)

    def rows(self) -> list[Row]:
        return list(self.by_key.values())

    def look(self, columns: Any, studies: Any) -> Look:
        rows = [row for row in self.by_key.values() if row["study"] in studies]
        return Look([{k: v for k, v in row.items() if k in columns} for row in rows])

    def write(self, row: Row, logits: Any = ()) -> None:
        self.by_key[row["key"]] = row


def row_of(job: Job, status: str = "ok") -> Row:
    """Return the row of a job; its value follows from its config and seed alone."""
    text = json.dumps([job.spec.config, job.spec.seed], sort_keys=True)
    value = int(hashlib.sha256(text.encode()).hexdigest()[:6], 16) / 16**6
    return {
        "key": job.key,
        "study": job.spec.study,
        "method": job.spec.method,
        "phase": job.spec.phase,
        "status": status,
        "cause": "" if status == "ok" else "a cause",
        "config_json": json.dumps(dict(job.spec.config), sort_keys=True),
        "seed": job.spec.seed,
        "trial_number": job.context.trial_number,
        "is_default": job.context.is_default,
        "proposed_by": job.context.proposed_by,
        "encoder_rank": job.context.encoder_rank,
        "source_key": job.context.source_key,
        "val_balanced_accuracy": value if status == "ok" else None,
        "val_many_recall": 1 - value if status == "ok" else None,
        "seconds": 1.0,
        "gpu_share": 0.0,
        "n_threads": 1,
        "curve": [],
    }


def queue_of(request: SearchRequest, store: MemoryStore) -> JobQueue:
    """Return the queue of a search."""
    return JobQueue(Searched(request), store)


def run_all(
    queue: JobQueue,
    store: MemoryStore,
    most: int = 10_000,
    status: Callable[[Job], str] = lambda job: "ok",
) -> list[Job]:
    """Run at most `most` jobs one after another; return them."""
    ran: list[Job] = []
    while len(ran) < most:
        job = queue.next()
        if isinstance(job, Signal):
            assert job is Signal.DONE
            break
        store.write(row_of(job, status(job)))
        queue.ended(job.key, "")
        ran.append(job)
    return ran


def assert_goes_on(
    request: SearchRequest, prefix: int, run: Callable[..., list[Job]] = run_all
) -> None:
    """Cut a search off after `prefix` jobs: the same one runs exactly the rest, to the same rows.

    `run` runs a queue into a store, as `run_all` does.
    """
    whole = MemoryStore()
    run(queue_of(request, whole), whole)
    store = MemoryStore()
    first = run(queue_of(request, store), store, most=prefix)
    rest = run(queue_of(request, store), store)
    assert not {job.key for job in first} & {job.key for job in rest}
    # the very configs of the search that was not cut off
    assert store.by_key == whole.by_key
    assert queue_of(request, store).finished
