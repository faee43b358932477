"""The driver under load: trials that do nothing, through the queue, Optuna and the real store.

    python benchmarks/controller.py [--studies 50] [--trials 200] [--concurrent 32] [--sampler tpe]

No Ray and no training: what is left is the search's own work. Prints Markdown for
benchmarks/README.md.
"""

import argparse
import gc
import random
import resource
import statistics
import tempfile
import time
from collections import deque
from pathlib import Path

from lmd_bench.core.schema import TaskSpec
from lmd_bench.methods.catalogue import resolve_methods
from lmd_bench.search.jobs import Job
from lmd_bench.search.queue import JobQueue, Signal
from lmd_bench.search.request import SearchRequest
from lmd_bench.search.sources import Searched
from lmd_bench.store.rows import make_row
from lmd_bench.store.store import open_store

METHODS = ("cross_entropy", "focal", "ldam_drw", "rrl", "vs_loss")  # stage 1 alone: all may run


def request(results: Path, arguments: argparse.Namespace) -> SearchRequest:
    """Return a search of as many studies as asked for, five on each task."""
    tasks = tuple(
        (TaskSpec("synthetic", split_seed=number), f"{number:020d}")
        for number in range(arguments.studies // len(METHODS))
    )
    return SearchRequest(
        methods=resolve_methods(METHODS),
        tasks=tasks,
        results=results,
        n_trials=arguments.trials,
        confirm_seeds=0,
        sampler=arguments.sampler,
    )


def finished_row(job: Job, rng: random.Random) -> dict[str, object]:
    """Return the row that the worker of a trial without work would write."""
    now = "2026-01-01T00:00:00+00:00"
    times = {"started_at": now, "finished_at": now, "seconds": 0.0, "standalone_seconds": 0.0}
    row = make_row(job.spec, job.context, status="ok", **times)
    return {**row, "val_balanced_accuracy": rng.random()}


def memory_mib() -> float:
    """Return the process's memory in use, MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def main() -> None:
    """Run the load and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=50)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--concurrent", type=int, default=32)
    parser.add_argument("--sampler", default="tpe")
    parser.add_argument("--smallest", action="store_true", help="a size that shows that it runs")
    arguments = parser.parse_args()
    if arguments.smallest:
        arguments.studies, arguments.trials = len(METHODS), 3
    rng = random.Random(0)
    asks: list[float] = []
    tells: list[float] = []
    writes: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder), create=True)
        queue = JobQueue(Searched(request(Path(folder), arguments)), store)
        gc.collect()
        before, started = memory_mib(), time.perf_counter()
        running: deque[Job] = deque()
        while True:
            clock = time.perf_counter()
            job = queue.next() if len(running) < arguments.concurrent else Signal.WAIT
            if isinstance(job, Job):
                asks.append(time.perf_counter() - clock)
                running.append(job)
                continue
            if not running:
                break
            done = running.popleft()
            row = finished_row(done, rng)
            clock = time.perf_counter()
            store.write(row)
            writes.append(time.perf_counter() - clock)
            clock = time.perf_counter()
            queue.complete(done.key, row)
            tells.append(time.perf_counter() - clock)
        took = time.perf_counter() - started
        gc.collect()
        grown = memory_mib() - before
        clock = time.perf_counter()
        JobQueue(Searched(queue.request), store)
        resume = time.perf_counter() - clock
    n = len(tells)
    print(
        f"{n} trials, {arguments.studies} studies, {arguments.concurrent} at once, "
        f"{arguments.sampler}"
    )
    print("| what | median | 99 % |\n|---|---|---|")
    for name, values in (("ask", asks), ("tell", tells), ("row written and synced", writes)):
        high = statistics.quantiles(values, n=100)[98]
        print(f"| {name} | {statistics.median(values) * 1e3:.1f} ms | {high * 1e3:.1f} ms |")
    print(f"{n / took:.0f} trials/s; memory {before:.0f} MiB and {grown:.0f} MiB more; ", end="")
    print(f"resumed from the store in {resume:.1f} s")


if __name__ == "__main__":
    main()
