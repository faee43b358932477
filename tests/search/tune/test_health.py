"""What doctor finds wrong with a machine."""

import subprocess
import sys
from dataclasses import replace

import pytest

from lmd_bench.cli import app
from lmd_bench.search.tune.doctor import (
    Health,
    complaints,
    examine,
    look_at,
    new_probe,
    unguarded,
)

WELL = Health(
    host="a",
    python="3.11.4",
    versions={"torch": "2.11", "ray": "2.60"},
    gpus=(),
    n_cores=2,
    clock=1000.0,
    free_bytes=2**40,
    trouble="",
    sees=True,
    auth_mode="",
)


def test_a_machine_like_the_drivers_is_well():
    assert complaints(WELL, WELL) == []
    assert complaints(WELL, replace(WELL, host="b", python="3.11.9", gpus=("H100",))) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"trouble": "Permission denied"}, "cannot be used (Permission denied)"),
        ({"sees": False}, "does not see the driver's results folder"),
        ({"free_bytes": 2**30}, "only 1.0 GiB are free"),
        ({"versions": {"torch": "2.6", "ray": "2.60"}}, "torch is 2.6, the driver has 2.11"),
        ({"python": "3.12.0"}, "Python is 3.12.0"),
        ({"clock": 1060.0}, "differs by 60 s"),
        ({"holds": "a file that the driver has locked can be locked here too"}, "locked here too"),
    ],
)
def test_each_trouble_has_a_sentence(change, sentence):
    (found,) = complaints(WELL, replace(WELL, **change))
    assert sentence in found


def test_a_node_that_asks_for_no_token_is_a_trouble():
    assert unguarded(replace(WELL, auth_mode="token")) == []
    for mode in ("", "disabled"):
        (sentence,) = unguarded(replace(WELL, auth_mode=mode))
        assert "RAY_AUTH_MODE=token" in sentence


def test_a_slow_answer_is_no_wrong_clock():
    assert complaints(WELL, replace(WELL, clock=1008.0), seconds=4.0) == []


def test_this_machine_is_examined_and_nothing_is_left(tmp_path):
    health = examine(tmp_path)
    assert health.trouble == ""
    assert health.sees
    assert health.free_bytes > 0
    assert list(tmp_path.iterdir()) == []


def test_a_probe_that_is_not_there_is_not_seen(tmp_path):
    probe = new_probe(tmp_path)
    assert examine(tmp_path, probe).sees
    assert not examine(tmp_path / "elsewhere", probe).sees


def test_a_folder_that_cannot_be_made_is_a_trouble(tmp_path, capsys):
    (tmp_path / "file").touch()
    results = tmp_path / "file" / "results"
    (machine,) = look_at(results, "local")
    assert machine.troubles[0].startswith("the results folder cannot be used")

    assert app(["doctor", "--results", str(results)], standalone_mode=False) == 1
    assert "this machine: the results folder cannot be used" in capsys.readouterr().out


TWO_NODES = """
import os, secrets, sys
from lmd_bench.search.tune.cluster import prepare_environment
prepare_environment()
os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
from ray.cluster_utils import Cluster
from lmd_bench.cli import app
node = {"num_cpus": 1, "node_ip_address": "127.0.0.1"}
cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
try:
    cluster.add_node(**node)
    cluster.wait_for_nodes()
    asked = ["doctor", "--results", sys.argv[1], "--address", cluster.address]
    code = app(asked, standalone_mode=False)
finally:
    cluster.shutdown()
sys.exit(code)
"""


@pytest.mark.slow
@pytest.mark.timeout(1000)
def test_every_node_of_a_cluster_is_examined(tmp_path):
    command = [sys.executable, "-c", TWO_NODES, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert ended.stdout.count("node 127.0.0.1") == 2
    assert "All is well" in ended.stdout
    assert "authentication: token" in ended.stdout
    assert list(tmp_path.iterdir()) == []
