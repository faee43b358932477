import pytest

from lmd_bench.core import machine as hardware
from lmd_bench.core.errors import UserError
from lmd_bench.search.tune.slots import Slots, share_out


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
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr(hardware, "_CGROUP_QUOTA", quota)
    quota.write_text("100000 100000\n")
    assert hardware.n_cores() == 1
    quota.write_text("max 100000\n")
    assert hardware.n_cores() >= 1
