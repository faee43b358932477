"""A two-node cluster, one node of which dies while it trains the encoder that the other waits for.

Stage 1 is fixed by --set, so that all confirmations of one seed stand on the same encoder: one
trains it, for longer than Ray takes to start the other's process, and the next one waits for it.
Ray's head has no cores, so it is never the one that trains.
"""

import os
import re
import secrets
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from drill import PATIENCE, family, finish, measured, rows_on_disk, wait_for

from lmd_bench.search.watching.traces import read_signs
from lmd_bench.store.store import open_store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(4 * PATIENCE)]

CLUSTER = """
import sys
from lmd_bench.search.tune.cluster import prepare_environment
prepare_environment()
from ray.cluster_utils import Cluster
node = {"num_cpus": 1, "node_ip_address": "127.0.0.1"}
head = {**node, "num_cpus": 0, "include_dashboard": False}
cluster = Cluster(initialize_head=True, head_node_args=head)
try:
    # The second one may be given another path, on which a module makes it a bad one.
    bad = {"env_vars": {"PYTHONPATH": sys.argv[1]}} if len(sys.argv) > 1 else {}
    nodes = [cluster.add_node(**node), cluster.add_node(**node, **bad)]
    cluster.wait_for_nodes()
    raylets = [node.all_processes["raylet"][0].process.pid for node in nodes]
    print(cluster.address, *raylets, flush=True)
    sys.stdin.readline()
finally:
    cluster.shutdown()
"""
SEARCH = (
    "search --dataset synthetic --image-size 32 --n-max 100 --imbalance-factor 5 --trials 3 "
    "--method crt,logit_adjustment --epochs 20 --confirm-seeds 1 --deterministic "
    "--set crt.n_epochs=5 --set training.lr=0.05 --set training.weight_decay=0.0001 "
    "--set training.batch_size=64 --set training.schedule=cosine --set training.augmentation=weak"
)


@contextmanager
def two_nodes(environment, *path):
    """Hold the cluster in a process of its own; yield its address and the raylets of its nodes."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    said: list[str] = []
    while not said:  # Ray gives each node 30 s, which may be too few beside other work
        nodes = subprocess.Popen([sys.executable, "-c", CLUSTER, *path], env=environment, **pipes)
        said = nodes.stdout.readline().split()
    try:
        yield said[0], [int(pid) for pid in said[1:]]
    finally:
        nodes.communicate("\n", timeout=PATIENCE)


def start(results, environment, *options):
    command = [sys.executable, "-m", "lmd_bench", *SEARCH.split(), "--results", str(results)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([*command, *options], env=environment, **streams)


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    return {**os.environ, **token, "LMD_BENCH_CACHE": str(tmp_path_factory.mktemp("cache"))}


@pytest.fixture(scope="module")
def reference(tmp_path_factory, environment):
    results = tmp_path_factory.mktemp("reference")
    finish(start(results, environment, "--max-concurrent", "1"))
    return measured(results)


def training_while_another_waits(results):
    """Return the keys of the confirmation that trains and of one that waits; None unless both."""
    confirming = [sign for sign in read_signs(results) if "confirms" in sign.name]
    trains = [sign.key for sign in confirming if sign.stage == "representation"]
    waits = [s.key for s in confirming if not s.stage and time.time() - s.at > 1.0]
    return (trains[0], waits[0]) if trains and waits else None


def raylet_of(results, key, raylets):
    """Return the raylet whose worker runs a trial, by the trial's log."""
    pids = re.findall(r"process (\d+)", (results / "logs" / "trials" / f"{key}.log").read_text())
    (raylet,) = [raylet for raylet in raylets if int(pids[-1]) in family(raylet)]
    return raylet


@pytest.mark.parametrize("what", ["the whole node", "its raylet alone"])
def test_a_node_dies_while_it_trains_what_the_other_waits_for(
    tmp_path, environment, reference, what
):
    with two_nodes(environment) as (address, raylets):
        search = start(tmp_path, environment, "--address", address)
        wait_for(lambda: search.poll() is not None or training_while_another_waits(tmp_path))
        assert search.poll() is None, search.stdout.read()
        trains, waits = training_while_another_waits(tmp_path)
        raylet = raylet_of(tmp_path, trains, raylets)
        before = rows_on_disk(tmp_path)
        for pid in family(raylet) if what == "the whole node" else [raylet]:
            os.kill(pid, signal.SIGKILL)
        said = finish(search)
    assert "put back" in said
    after = rows_on_disk(tmp_path)
    assert {key: after[key] for key in before} == before  # none was lost, none written again
    rows = {row["key"]: row for row in open_store(tmp_path).rows()}
    assert rows[trains]["encoder_key"] == rows[waits]["encoder_key"]
    assert measured(tmp_path) == reference


BLACK_HOLE = """
import os, sys
class Broken:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            os._exit(1)  # a GPU that takes its process with it
sys.meta_path.insert(0, Broken())
"""


def test_a_node_that_ends_every_process_loses_no_trial(tmp_path, environment):
    bad, results = tmp_path / "bad", tmp_path / "results"
    bad.mkdir()
    (bad / "sitecustomize.py").write_text(BLACK_HOLE)
    path = os.pathsep.join([str(bad), environment.get("PYTHONPATH", "")])
    command = (
        "search --dataset synthetic --image-size 32 --n-max 100 --imbalance-factor 5 --trials 6 "
        "--budget per-study --method cross_entropy --epochs 2 --confirm-seeds 0 --sampler random "
        "--results"
    )
    with two_nodes(environment, path) as (address, _):
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        ask = [sys.executable, "-m", "lmd_bench", *command.split(), str(results)]
        search = subprocess.Popen([*ask, "--address", address], env=environment, **streams)
        said = finish(search)
    assert "is out of use: trials fail there in a row" in said
    rows = open_store(results).rows()
    assert [row["status"] for row in rows] == ["ok"] * 6
