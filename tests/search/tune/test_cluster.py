"""Ray's start: tried again where a busy machine is too slow, one sentence where it never comes."""

import os

import pytest
import ray

from lmd_bench.core.errors import UserError
from lmd_bench.search.tune.cluster import LOCAL, N_STARTS, bring_token, cluster, prepare_environment
from lmd_bench.search.tune.slots import Slots


@pytest.fixture
def starts(monkeypatch):
    """Return the list of Ray's starts, which fail as often as `starts.extend` says."""
    seen, failures = [], []

    def init(**options):
        seen.append(options)
        if failures:
            raise failures.pop()

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    return seen, failures


def test_a_node_that_comes_up_late_is_started_again(starts):
    seen, failures = starts
    failures += [Exception("The current node timed out during startup.")] * 2
    with cluster(LOCAL, Slots(2, 1, 0.0)):
        assert len(seen) == 3


def test_a_node_that_never_comes_up_is_one_sentence(starts):
    seen, failures = starts
    failures += [Exception("The current node timed out during startup.")] * N_STARTS
    with pytest.raises(UserError, match="did not start here in 4 attempts"):
        cluster(LOCAL, Slots(2, 1, 0.0)).__enter__()
    assert len(seen) == N_STARTS


def test_what_is_wrong_otherwise_is_not_tried_again(starts):
    seen, failures = starts
    failures.append(ValueError("resources"))
    with pytest.raises(UserError, match="Ray cannot start or join .*resources"):
        cluster(LOCAL, Slots(2, 1, 0.0)).__enter__()
    assert len(seen) == 1


def test_workers_of_a_cluster_that_is_joined_find_the_same_folders(starts, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("LMD_BENCH_CACHE", "LMD_BENCH_DATA", "LMD_BENCH_LOCAL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TORCH_HOME", "torch")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    with cluster("10.0.0.1:6379", Slots(2, 1, 0.0)):
        variables = starts[0][0]["runtime_env"]["env_vars"]
    # A relative path would be another folder in a worker.
    assert variables == {"TORCH_HOME": str(tmp_path / "torch"), "HF_HOME": str(tmp_path / "hub")}


def test_a_cluster_that_does_not_answer_is_named(starts):
    starts[1].append(ConnectionError("refused"))
    with pytest.raises(UserError, match=r"No Ray cluster answers at 10\.0\.0\.1:6379"):
        cluster("10.0.0.1:6379", Slots(2, 1, 0.0)).__enter__()


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError("AF_UNIX path length cannot exceed 107 bytes"), "RAY_TMPDIR=/tmp"),
        (FileNotFoundError(2, "No such file or directory", "/proc/nohome"), "a home that can be"),
        (RuntimeError("Version mismatch: The cluster was started with: Ray: 2.1"), "same Python"),
    ],
)
def test_each_way_in_which_ray_does_not_start_is_a_sentence(starts, error, says):
    starts[1].append(error)
    with pytest.raises(UserError, match=says):
        cluster("10.0.0.1:6379", Slots(2, 1, 0.0)).__enter__()


def test_a_long_folder_for_temporary_files_gives_way(monkeypatch):
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", "/tmp/" + "x" * 60)
    prepare_environment()
    assert os.environ["RAY_TMPDIR"] == "/tmp"


def test_a_home_that_cannot_be_written_to_is_not_needed_for_a_token(monkeypatch):
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/proc/nohome")
    bring_token()
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
    assert os.environ["RAY_AUTH_MODE"] == "token"
