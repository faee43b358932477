"""A search on two Ray nodes, one of which is killed while trials run on it."""

import os
import subprocess
import sys
import time

import pytest

from lmd_bench.results import open_store

CLUSTER = """
import os, sys
from lmd_bench.search.cluster import prepare_environment
prepare_environment()
from ray.cluster_utils import Cluster
node = {"num_cpus": 1, "node_ip_address": "127.0.0.1"}
cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
try:
    other = cluster.add_node(**node)
    cluster.wait_for_nodes()
    print(cluster.address, flush=True)
    if sys.stdin.readline().strip() == "kill":
        cluster.remove_node(other, allow_graceful=False)
        print("killed", flush=True)
        sys.stdin.readline()
finally:
    cluster.shutdown()
"""
SEARCH = (
    "search --dataset synthetic --image-size 16 --n-max 100 --imbalance-factor 5,10 --trials 3 "
    "--method cross_entropy,crt,vfc --epochs 2 --confirm-seeds 1"
)
AT_ROWS = 6


@pytest.mark.slow
def test_a_search_outlives_one_of_its_nodes(tmp_path):
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", CLUSTER], env=environment, **pipes) as nodes:
        address = nodes.stdout.readline().strip()
        command = [sys.executable, "-m", "lmd_bench", *SEARCH.split()]
        command += ["--results", str(tmp_path), "--address", address]
        search = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        _wait_for_rows(tmp_path, search)
        nodes.stdin.write("kill\n")
        nodes.stdin.flush()
        assert nodes.stdout.readline().strip() == "killed"
        printed, _ = search.communicate(timeout=400)
    assert search.returncode == 0, printed[-2000:]
    rows = open_store(tmp_path).rows()
    assert {row["status"] for row in rows} == {"ok"}
    searched = [row for row in rows if row["phase"] == "search"]
    assert len(searched) == 3 * 3 * 2  # each of them once
    assert f"{len(rows)} trials are stored" in printed


def _wait_for_rows(results, search) -> None:
    while len(list(results.glob("trials/[!.]*.parquet"))) < AT_ROWS:
        assert search.poll() is None, "the search ended before a node could be killed"
        time.sleep(0.2)
