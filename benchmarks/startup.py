"""What a trial costs beyond its own work, with Ray: trials that do nothing, through a real search.

    python benchmarks/startup.py [--trials 200] [--nodes 1 2 4] [--sampler tpe]

One study on one task. Each trial writes and syncs its row; Optuna's ask and tell are in it. Nodes
are Ray nodes on this machine, on loopback, of two slots each. Prints Markdown for the README.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lmd_bench.search.tune.cluster import prepare_environment

SLOTS = 2  # of a node
TOKEN = "0123456789abcdef" * 4  # of a cluster that listens on loopback and lives for a minute

NODES = """
import sys
from lmd_bench.search.tune.cluster import prepare_environment
prepare_environment()
from ray.cluster_utils import Cluster
node = {"num_cpus": 2, "node_ip_address": "127.0.0.1"}
cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
try:
    for _ in range(int(sys.argv[1]) - 1):
        cluster.add_node(**node)
    cluster.wait_for_nodes()
    print(cluster.address, flush=True)
    sys.stdin.readline()
finally:
    cluster.shutdown()
"""


def nothing(config: Mapping[str, Any]) -> None:
    """Do what a worker does, without the trial: read the job, write its row, report."""
    from ray import tune

    from lmd_bench.search.jobs import from_payload
    from lmd_bench.store.rows import make_row
    from lmd_bench.store.store import open_store

    job = from_payload(config["job"])
    now = "2026-01-01T00:00:00+00:00"
    times = {"started_at": now, "finished_at": now, "seconds": 0.0, "standalone_seconds": 0.0}
    row = make_row(job.spec, job.context, status="ok", **times)
    row["val_balanced_accuracy"] = random.random()
    open_store(job.context.results, create=True).write(row)
    tune.report({key: row[key] for key in ("key", "status", "val_balanced_accuracy")})


@contextmanager
def cluster(n_nodes: int) -> Iterator[str]:
    """Hold Ray nodes in a process of their own; yield the address."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", NODES, str(n_nodes)], **pipes) as nodes:
        assert nodes.stdout is not None
        assert nodes.stdin is not None
        yield nodes.stdout.readline().strip()
        nodes.stdin.write("\n")
        nodes.stdin.flush()


def gaps(results: Path, skip: int) -> list[float]:
    """Return the seconds between the ends of trials, without the first ones."""
    ends = sorted(path.stat().st_mtime for path in results.glob("trials/[!.]*.parquet"))
    kept = ends[skip:]
    return [after - before for before, after in zip(kept, kept[1:], strict=False)]


def measure(n_nodes: int, n_trials: int, sampler: str) -> tuple[float, float, float]:
    """Return seconds a trial in steady state, their median gap, and seconds of the whole search."""
    from lmd_bench.core.schema import TaskSpec
    from lmd_bench.methods.catalogue import resolve_methods
    from lmd_bench.search.request import SearchRequest
    from lmd_bench.search.run import run_search
    from lmd_bench.search.tune import worker

    worker.run_job = nothing
    with tempfile.TemporaryDirectory() as folder, cluster(n_nodes) as address:
        request = SearchRequest(
            methods=resolve_methods(["focal"]),
            tasks=((TaskSpec("synthetic"), "0" * 20),),
            results=Path(folder),
            n_trials=n_trials,
            confirm_seeds=0,
            sampler=sampler,
            address=address,
            max_concurrent=SLOTS * n_nodes,
            cpus_per_trial=1,
        )
        began = time.perf_counter()
        run_search(request)
        seconds = time.perf_counter() - began
        between = gaps(Path(folder), skip=n_trials // 4)
    return sum(between) / len(between), statistics.median(between), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--sampler", default="tpe")
    parser.add_argument("--smallest", action="store_true", help="a size that shows that it runs")
    arguments = parser.parse_args()
    if arguments.smallest:
        arguments.trials, arguments.nodes = 8, [1]
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    prepare_environment()  # before Ray is imported
    print("| Ray nodes | slots | s a trial | median gap | trials/s | whole search, s |")
    print("|---|---|---|---|---|---|")
    for n_nodes in arguments.nodes:
        mean, median, whole = measure(n_nodes, arguments.trials, arguments.sampler)
        cells = (str(n_nodes), str(SLOTS * n_nodes), f"{mean:.3f}", f"{median:.3f}")
        print("|", " | ".join((*cells, f"{1 / mean:.1f}", f"{whole:.0f}")), "|", flush=True)


if __name__ == "__main__":
    main()
