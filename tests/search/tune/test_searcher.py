"""What the searcher makes of the ends of Tune's trials."""

from types import SimpleNamespace

import pytest
from memory_search import MemoryStore, queue_of, row_of

from lmd_bench.search.jobs import from_payload
from lmd_bench.search.places import Place
from lmd_bench.search.tune import adapters
from lmd_bench.search.tune.adapters import PREEMPTED, NodeLostError, QueueSearcher

HERE, THERE = Place("n1", "node1"), Place("n2", "node2")


class Lines:
    def __init__(self):
        self.notes = []

    def __getattr__(self, name):
        return lambda *arguments: None

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def make(ask, store, monkeypatch):
    monkeypatch.setattr(QueueSearcher, "check_node", lambda self: None)

    def make(n_trials=6, n_slots=3, disk_works=True, address="local"):
        asked = {"confirm_seeds": 0, "sampler": "random", "gpus_per_trial": 1.0}
        asked["address"] = address
        request = ask("cross_entropy", n_trials=n_trials, cpus_per_trial=1, **asked)
        queue, lines = queue_of(request, store), Lines()
        searcher = QueueSearcher(queue, lines, n_slots, disk_works=lambda: disk_works)
        return searcher, queue, lines

    return make


def start(searcher, trial_id, place):
    job = from_payload(searcher.suggest(trial_id)["job"])
    assert searcher.placed(trial_id, place)
    return job


@pytest.mark.parametrize(("n_slots", "pause"), [(3, 0.2), (800, 1.6)])
def test_workers_of_a_large_cluster_tell_of_fewer_epochs(make, n_slots, pause):
    searcher, _, _ = make(n_slots=n_slots)
    assert searcher.suggest("a")["pause"] == pause


def test_no_more_jobs_are_given_than_there_are_slots(make):
    searcher, _, _ = make(n_slots=2)
    assert searcher.suggest("a")
    assert searcher.suggest("b")
    assert searcher.suggest("c") is None
    searcher.n_slots = 3
    assert searcher.suggest("c")


@pytest.mark.parametrize("text", ["Stale file handle", "no route to host"])
def test_what_one_machine_cannot_read_is_put_back_with_its_name(make, store, text):
    searcher, queue, _ = make(n_trials=1)
    for trial_id, place in (("a", HERE), ("b", THERE)):
        job = start(searcher, trial_id, place)
        searcher.on_trial_complete(trial_id, {"broken": text, "disk": False})
    assert not searcher.refusal
    row = store.get(job.key)
    assert (row["status"], row["cause"]) == ("error", f"{text} (node2)")
    assert queue.finished


@pytest.mark.parametrize("disk_works", [True, False])
def test_a_full_disk_ends_the_search_only_where_the_driver_sees_it_too(make, disk_works):
    searcher, _, _ = make(disk_works=disk_works)
    start(searcher, "a", HERE)
    searcher.on_trial_complete("a", {"broken": "No space left on device", "disk": True})
    assert bool(searcher.refusal) is not disk_works


def test_data_that_one_machine_lacks_may_be_on_another(make, store):
    searcher, queue, _ = make()
    start(searcher, "a", HERE)
    start(searcher, "b", THERE)
    searcher.on_trial_complete("a", {"refusal": "the images are not there"})
    assert not searcher.refusal
    searcher.on_trial_complete("b", {"refusal": "the images are not there"})
    assert searcher.refusal == "the images are not there"
    assert searcher.suggest("c") == "FINISHED"


def test_what_the_only_machine_refuses_ends_the_search(make):
    searcher, _, _ = make()
    start(searcher, "a", HERE)
    searcher.on_trial_complete("a", {"refusal": "an image is gone"})
    assert searcher.refusal == "an image is gone"


def test_a_preempted_trial_runs_again_however_often(make, store):
    searcher, queue, _ = make(n_trials=1)
    for number in range(5):
        job = start(searcher, str(number), HERE)
        searcher.died(str(number), "node_lost", PREEMPTED)
        searcher.on_trial_complete(str(number), error=True)
    assert store.rows() == []
    assert from_payload(searcher.suggest("x")["job"]) == job


def test_a_slot_that_is_out_of_use_is_held_to_the_end(make, store):
    searcher, queue, _ = make(n_trials=2, n_slots=2)
    job = start(searcher, "a", THERE)
    queue.places.out[HERE] = "died"
    searcher.suggest("b")
    assert not searcher.placed("b", HERE)
    assert not searcher.may_release("b")
    other = start(searcher, "c", THERE)
    for trial_id, done in (("a", job), ("c", other)):
        store.write(row_of(done))
        searcher.on_trial_complete(trial_id, {})
    assert searcher.may_release("b")
    searcher.on_trial_complete("b", {})
    assert searcher.suggest("d") == "FINISHED"


def test_a_hung_trial_is_ended_once_and_put_back(make, store, monkeypatch):
    searcher, queue, lines = make(n_trials=1)
    job = start(searcher, "a", HERE)
    assert searcher.hung() == []
    searcher._silence._heard["a"] -= 1e6
    assert searcher.hung() == ["a"]
    assert searcher.hung() == []
    assert "hung" in lines.notes[0]
    searcher.on_trial_complete("a", error=True)
    assert from_payload(searcher.suggest("b")["job"]) == job
    searcher.on_trial_complete("b", error=True)
    assert store.get(job.key)["status"] == "lost"


@pytest.mark.parametrize(
    ("address", "says"), [("local", "workers are still starting"), ("auto", "3 cores and 0 GPUs")]
)
def test_it_is_said_once_that_no_trial_finds_room(make, monkeypatch, address, says):
    import ray

    monkeypatch.setattr(ray, "available_resources", lambda: {"CPU": 3.0})
    searcher, queue, lines = make(address=address)
    searcher.suggest("a")
    searcher.look_for_room()
    assert lines.notes == []
    searcher._unplaced["a"] -= 100.0
    searcher.look_for_room()
    searcher.look_for_room()
    (note,) = lines.notes
    assert "No trial has started" in note
    assert says in note


def test_a_node_that_died_is_noticed_though_no_worker_is_heard_of(ask, store, monkeypatch):
    """Workers that died with their node are waited for by Tune without an end."""
    alive = {"NodeID": "n1", "Alive": True}
    monkeypatch.setattr(adapters.ray, "nodes", lambda: [alive])
    monkeypatch.setattr(
        adapters.ray, "get_runtime_context", lambda: SimpleNamespace(get_node_id=lambda: "n1")
    )
    now = [100.0]
    monkeypatch.setattr(adapters.time, "monotonic", lambda: now[0])
    request = ask("cross_entropy", confirm_seeds=0, sampler="random")
    searcher = QueueSearcher(queue_of(request, store), Lines(), 2)

    now[0] += adapters.SECONDS
    searcher.check_node_at_times()
    alive["Alive"] = False
    searcher.check_node_at_times()  # not so soon again
    now[0] += adapters.SECONDS
    with pytest.raises(NodeLostError, match="the Ray node of the search died"):
        searcher.check_node_at_times()


def test_what_had_not_begun_when_tune_died_has_lost_nothing(make, store):
    """A Ray that is dying still takes trials: with their own deaths they would be written off."""
    searcher, queue, _ = make(n_trials=3, n_slots=2)
    began = start(searcher, "a", HERE)
    waits = from_payload(searcher.suggest("b")["job"])
    searcher.all_lost("Ray Tune died", with_node=True)
    assert start(searcher, "c", HERE).key == waits.key
    searcher.all_lost("Ray Tune died", with_node=True)  # the first loss of the one that waited
    assert not {waits.key, began.key} & {row["key"] for row in store.rows()}
    assert not queue.finished
