"""Ray's start: tried again where a busy machine is too slow, one sentence where it never comes."""

import pytest
import ray

from lmd_bench.core.errors import UserError
from lmd_bench.search.tune.cluster import LOCAL, N_STARTS, cluster
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
    with pytest.raises(ValueError, match="resources"):
        cluster(LOCAL, Slots(2, 1, 0.0)).__enter__()
    assert len(seen) == 1


def test_a_cluster_that_does_not_answer_is_named(starts):
    starts[1].append(ConnectionError("refused"))
    with pytest.raises(UserError, match=r"No Ray cluster answers at 10\.0\.0\.1:6379"):
        cluster("10.0.0.1:6379", Slots(2, 1, 0.0)).__enter__()
