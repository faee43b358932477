"""A real search on a two-node Ray cluster, one node of which is killed half-way.

    python benchmarks/node_loss.py [--out DIR] [--smallest] [options of a search]

Two nodes of one core each on this machine, on loopback, with a token. When half of the rows that
the search plans are there, the second node's raylet and workers are killed with SIGKILL; the search
has to end on the first alone. By default 3 methods x 3 imbalance factors x 8 trials on the built-in
data set at 32 px; `--dataset ham10000` takes real images. Prints what became of it; the last line
is the exit code of the search.
"""

import argparse
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from lmd_bench.search.watching.traces import read_searches
from lmd_bench.store.store import open_store

NODES = """
import sys
from lmd_bench.search.tune.cluster import prepare_environment
prepare_environment()
import ray
import psutil
from ray.cluster_utils import Cluster
node = {"num_cpus": 1, "node_ip_address": "127.0.0.1"}
cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
try:
    other = cluster.add_node(**node)
    cluster.wait_for_nodes()
    print("up", cluster.address, sep="\\n", flush=True)
    if sys.stdin.readline().strip() == "kill":
        raylet = psutil.Process(other.all_processes["raylet"][0].process.pid)
        for process in [*raylet.children(recursive=True), raylet]:
            process.kill()
        print("killed", flush=True)
        sys.stdin.readline()
finally:
    cluster.shutdown()
"""
SEARCH = (
    "--image-size 32 --n-max 200 --imbalance-factor 20,50,100 --trials 8 "
    "--method cross_entropy,crt,vfc --epochs 2 --confirm-seeds 1"
)
SMALLEST = (
    "--image-size 16 --n-max 60 --imbalance-factor 5 --trials 2 --method cross_entropy,crt "
    "--epochs 1 --confirm-seeds 1 --set training.batch_size=16"
)


def n_rows(results: Path) -> int:
    """Return how many rows lie in a folder."""
    return len(list(results.glob("trials/[!.]*.parquet")))


def wait_for_half(results: Path, search: subprocess.Popen[bytes]) -> tuple[int, int]:
    """Wait until half of the planned rows are there; return how many, and how many are planned."""
    while search.poll() is None:
        searches = read_searches(results)
        planned = sum(s.trials + s.confirmations for s in searches[-1].studies) if searches else 0
        if planned and n_rows(results) >= planned / 2:
            return n_rows(results), planned
        time.sleep(1.0)
    raise SystemExit("the search ended before a node could be killed")


def start_nodes(environment: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start the cluster; Ray gives each node 30 s, so on a busy machine try again."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    for _ in range(8):
        nodes = subprocess.Popen([sys.executable, "-c", NODES], env=environment, **pipes)
        assert nodes.stdout is not None
        if nodes.stdout.readline().strip() == "up":
            return nodes
        nodes.wait()
    raise SystemExit("Ray did not start here")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="a new folder, if not given")
    parser.add_argument("--smallest", action="store_true", help="a size that shows that it runs")
    arguments, more = parser.parse_known_args()
    out = arguments.out or Path(tempfile.mkdtemp(prefix="node-loss-"))
    if "--dataset" not in more:
        more += ["--dataset", "synthetic"]
    asked = SMALLEST if arguments.smallest else SEARCH
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    environment = os.environ | token
    out.mkdir(parents=True, exist_ok=True)
    with start_nodes(environment) as nodes:
        assert nodes.stdin is not None
        assert nodes.stdout is not None
        address = nodes.stdout.readline().strip()
        command = [sys.executable, "-m", "lmd_bench", "search", *asked.split(), *more]
        command += ["--results", str(out), "--address", address]
        began = time.monotonic()
        with (out / "search.txt").open("wb") as said:
            search = subprocess.Popen(command, env=environment, stdout=said, stderr=said)
        rows, planned = wait_for_half(out, search)
        killed = time.monotonic()
        nodes.stdin.write("kill\n")
        nodes.stdin.flush()
        assert nodes.stdout.readline().strip() == "killed"
        print(f"a node killed after {(killed - began) / 60:.1f} min, at row {rows} of {planned}")
        sys.stdout.flush()
        search.wait()
        ended = time.monotonic()
        nodes.stdin.write("\n")
        nodes.stdin.flush()
    report(out)
    print(f"{(ended - began) / 60:.1f} min in all, {(ended - killed) / 60:.1f} after the node died")
    print(f"exit code {search.returncode}")


def report(out: Path) -> None:
    """Print rows by phase and status, jobs that were put back, and studies that lack a trial."""
    rows = open_store(out).rows()
    counts = Counter((row["phase"], row["status"]) for row in rows)
    told = ", ".join(f"{n} {phase} {status}" for (phase, status), n in sorted(counts.items()))
    print(f"{len(rows)} rows: {told}")
    print(f"{(out / 'search.txt').read_text().count('put back')} jobs put back")
    numbers: dict[str, list[int]] = {}
    for row in rows:
        if row["phase"] == "search":
            numbers.setdefault(row["study"], []).append(row["trial_number"])
    odd = {study: of for study, of in numbers.items() if sorted(of) != list(range(len(of)))}
    sizes = Counter(len(of) for of in numbers.values())
    print("studies by number of trials:", dict(sizes), "repeated or lacking:", odd or "none")


if __name__ == "__main__":
    main()
