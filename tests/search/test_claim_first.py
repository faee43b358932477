"""Studies are claimed before the store is read: what ends in between would be run again."""

import pytest
from memory_search import MemoryStore, queue_of, run_all
from test_run import Lines

from lmd_bench.core.errors import UserError
from lmd_bench.search import run
from lmd_bench.search.sources import Searched
from lmd_bench.search.tune.claims import claimed
from lmd_bench.search.tune.slots import Slots


@pytest.fixture
def store(monkeypatch):
    memory = MemoryStore()
    monkeypatch.setattr(run, "open_store", lambda root, create: memory)
    monkeypatch.setattr(run, "find_slots", lambda request: Slots(1, 1, 0.0))
    return memory


def test_what_another_search_ends_before_the_claim_is_not_run_again(
    ask, store, tmp_path, monkeypatch
):
    request = ask("cross_entropy", n_trials=4, results=tmp_path, confirm_seeds=0)

    def claimed_late(results, studies):
        run_all(queue_of(request, store), store)  # the other search, until it lets the studies go
        return claimed(results, studies)

    monkeypatch.setattr(run, "claimed", claimed_late)
    monkeypatch.setattr(run, "_work_through", lambda *arguments: pytest.fail("it ran again"))
    outcome = run.run_search(request, Lines())
    assert (outcome.n_stored, outcome.n_run) == (4, 0)


def test_a_search_that_is_refused_leaves_the_plan_of_the_running_one(ask, store, tmp_path):
    request = ask("cross_entropy", n_trials=4, results=tmp_path)
    with claimed(tmp_path, Searched(request).ids()), pytest.raises(UserError, match="working on"):
        run.run_search(request, Lines())
    assert not list(tmp_path.glob("searches/*"))
