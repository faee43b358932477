import os
import subprocess
import sys

import pytest

from lmd_bench.core import machine as hardware
from lmd_bench.core.errors import UserError
from lmd_bench.search.tune.cluster import prepare_environment
from lmd_bench.search.tune.slots import Node, Slots, share_out, share_out_nodes


def test_without_a_gpu_every_core_runs_a_trial():
    assert share_out(cores=8, gpus=0) == Slots(8, 1, 0.0)


def test_with_gpus_every_gpu_runs_a_trial_and_the_cores_are_shared():
    assert share_out(cores=16, gpus=4) == Slots(4, 4, 1.0)


def test_a_share_of_a_gpu_lets_several_trials_run_on_it():
    assert share_out(cores=16, gpus=2, gpus_per_trial=0.25) == Slots(8, 2, 0.25)


def test_a_third_of_a_gpu_three_times_is_one_gpu():
    slots = share_out(cores=6, gpus=1, gpus_per_trial=1 / 3)
    assert (slots.n_slots, slots.total_gpus()) == (3, 1)


def test_more_trials_than_cores_are_allowed_where_asked_for():
    assert share_out(cores=2, gpus=0, max_concurrent=4).total_cpus() == 4


def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(UserError, match=r"has 0 GPU\(s\)"):
        share_out(cores=2, gpus=0, gpus_per_trial=1.0)


def test_a_containers_quota_limits_the_cores(tmp_path, monkeypatch):
    groups(tmp_path, monkeypatch, "0::/\n", {"cpu.max": "100000 100000\n"})
    assert hardware.n_cores() == 1
    groups(tmp_path, monkeypatch, "0::/\n", {"cpu.max": "max 100000\n"})
    assert hardware.n_cores() >= 1


def groups(folder, monkeypatch, membership, files):
    """Put up control groups: the file that lists a process's, and those of the groups."""
    monkeypatch.setattr(hardware, "_CGROUPS", folder)
    monkeypatch.setattr(hardware, "_MEMBERSHIP", folder / "membership")
    (folder / "membership").write_text(membership)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_a_quota_of_a_group_around_this_one_holds_too(tmp_path, monkeypatch):
    files = {"jobs/a/cpu.max": "max 100000\n", "jobs/cpu.max": "100000 100000\n"}
    groups(tmp_path, monkeypatch, "0::/jobs/a\n", files)
    assert hardware.n_cores() == 1


def test_control_groups_of_version_1_are_read(tmp_path, monkeypatch):
    membership = "5:memory:/job\n4:cpu,cpuacct:/job\n"
    files = {
        "cpu/job/cpu.cfs_quota_us": "50000\n",
        "cpu/job/cpu.cfs_period_us": "100000\n",
        "memory/job/memory.limit_in_bytes": "1073741824\n",
        "memory/memory.limit_in_bytes": "9223372036854771712\n",
    }
    groups(tmp_path, monkeypatch, membership, files)
    assert hardware.n_cores() == 1
    assert hardware.memory_bytes() == 2**30


def test_memory_bounds_the_trials_at_once():
    assert share_out(cores=64, gpus=0, memory=30 * 2**30).n_slots == 20
    assert share_out(cores=64, gpus=0, max_concurrent=64, memory=2**30).n_slots == 64


@pytest.mark.parametrize(
    ("nodes", "slots"),
    [
        ([Node(64, 0), Node(16, 4)], Slots(4, 4, 1.0)),  # a head without GPUs
        ([Node(32, 0), Node(8, 1), Node(8, 1)], Slots(2, 8, 1.0)),
        ([Node(0, 0), Node(8, 1), Node(8, 1)], Slots(2, 8, 1.0)),
        ([Node(64, 8), Node(32, 8)], Slots(16, 4, 1.0)),  # uneven: every GPU is used
        ([Node(16, 8), Node(4, 8)], Slots(12, 1, 1.0)),  # fewer cores than GPUs
        ([Node(4, 0), Node(4, 0)], Slots(8, 1, 0.0)),
    ],
)
def test_slots_of_a_cluster_go_by_what_each_node_holds(nodes, slots):
    assert share_out_nodes(nodes) == slots


def test_what_no_node_can_hold_is_refused():
    with pytest.raises(UserError, match="No node of this cluster can hold"):
        share_out_nodes([Node(8, 1), Node(8, 1)], cpus_per_trial=12)
    with pytest.raises(UserError, match=r"no node has more than 1 GPU"):
        share_out_nodes([Node(8, 1), Node(8, 1)], gpus_per_trial=2.0)


SHOWN = """
import os, sys
from lmd_bench import cli
cli.app = lambda: print(os.environ.get("GOMP_SPINCOUNT"), "torch" in sys.modules)
cli.main()
"""
WAITING = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


@pytest.mark.parametrize(
    ("own", "count"),
    [({}, "1000"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "None"), ({"GOMP_SPINCOUNT": "7"}, "7")],
)
def test_waiting_threads_sleep_soon_unless_a_person_says_otherwise(
    own: dict[str, str], count: str
) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in WAITING} | own
    said = subprocess.run(
        [sys.executable, "-c", SHOWN], env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == [count, "False"]


def test_workers_of_a_search_inherit_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in WAITING:
        monkeypatch.delenv(name, raising=False)
    prepare_environment()
    assert os.environ["GOMP_SPINCOUNT"] == "1000"
