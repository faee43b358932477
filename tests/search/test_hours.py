"""Hours as a budget, joint studies, two objectives and a warm start, without Ray."""

import heapq
import json
from types import SimpleNamespace

import pytest
from memory_search import MemoryStore, queue_of, row_of, run_all

from lmd_bench.core.errors import UserError
from lmd_bench.search.jobs import hours_of
from lmd_bench.search.proposing import points as warm_start
from lmd_bench.search.proposing.points import (
    best_configs,
    freeze_warm_start,
    read_warm_start,
)
from lmd_bench.search.proposing.study import MOST_ALIKE
from lmd_bench.search.queue import JobQueue, Signal
from lmd_bench.search.sources import Searched
from lmd_bench.store.store import Store, open_store


def run_with_cost(queue, store, seconds):
    ran = []
    while not isinstance(job := queue.next(), Signal):
        store.write({**row_of(job), "seconds": seconds(job)})
        queue.ended(job.key, "")
        ran.append(job)
    return ran


def test_hours_are_a_ceiling(ask):
    store = MemoryStore()
    queue = queue_of(ask("cross_entropy", hours=1.0, confirm_seeds=0), store)
    ran = run_with_cost(queue, store, lambda job: 700.0)  # 5 trials are 3,500 s, and 6 too many
    assert len(ran) == 5


def test_a_first_trial_runs_even_where_it_takes_more_than_the_hours(ask):
    store = MemoryStore()
    queue = queue_of(ask("cross_entropy", hours=1.0, confirm_seeds=0), store)
    assert len(run_with_cost(queue, store, lambda job: 9000.0)) == 1


@pytest.mark.parametrize("slots", [1, 8, 64])
@pytest.mark.parametrize("first", ["error", "cached"])
def test_a_cheap_first_trial_buys_no_more_hours_than_others_have(ask, slots, first):
    store = MemoryStore()
    asked = {"hours": 10.0, "confirm_seeds": 0, "sampler": "random", "gpus_per_trial": 1.0}
    queue = queue_of(ask("cross_entropy", "focal", **asked), store)
    clock, heap, n = 0.0, [], 0
    while not queue.finished:
        while len(heap) < slots and not isinstance(job := queue.next(), Signal):
            cheap = job.spec.method == "focal" and job.context.trial_number == 0
            heapq.heappush(heap, (clock + (3.0 if cheap else 3600.0), n, job, cheap))
            n += 1
        clock, _, job, cheap = heapq.heappop(heap)
        row = row_of(job, "error" if cheap and first == "error" else "ok")
        row |= {"seconds": 3.0 if cheap else 3600.0, "gpu_share": 1.0, "standalone_seconds": 3600.0}
        store.write(row)
        queue.ended(job.key, "")
    spent = {s.spec.method.name: sum(map(hours_of, s.rows)) for s in queue.studies.values()}
    assert spent["cross_entropy"] == pytest.approx(10.0)
    assert 9.0 <= spent["focal"] <= 10.0


def test_a_study_whose_trials_fail_alike_ends(ask):
    store = MemoryStore()
    queue = queue_of(ask("cross_entropy", hours=1.0, confirm_seeds=0), store)
    while not isinstance(job := queue.next(), Signal):
        store.write(
            {**row_of(job, "error"), "seconds": 0.3, "cause": f"no file {len(store.by_key)}"}
        )
        queue.ended(job.key, "")
    (study,) = queue.studies.values()
    assert len(study.rows) == MOST_ALIKE
    assert queue.finished
    (problem,) = queue.problems()
    assert "failed alike" in problem


def test_what_a_death_cost_is_paid_from_the_hours(ask):
    now = [0.0]
    store = MemoryStore()
    request = ask("cross_entropy", hours=1.0, confirm_seeds=0)
    queue = JobQueue(Searched(request), store, lambda: now[0])
    job = queue.next()
    now[0] += 1800.0
    queue.lost(job.key, "died")
    ran = run_with_cost(queue, store, lambda job: 600.0)
    assert len(ran) == 3


def test_failed_trials_are_paid_from_the_same_hours(ask):
    store = MemoryStore()
    queue = queue_of(ask("cross_entropy", hours=0.5, confirm_seeds=0), store)
    ran = run_all(queue, MemoryStoreOf(store, 600.0), status=lambda job: "oom")
    assert len(ran) == 3


class MemoryStoreOf:
    """Gives each row a price."""

    def __init__(self, store, seconds):
        self.store, self.seconds = store, seconds

    def write(self, row):
        self.store.write({**row, "seconds": self.seconds})


def test_every_method_gets_the_same_hours_and_threads_are_paid_for(ask):
    store = MemoryStore()
    queue = queue_of(ask("cross_entropy", "focal", hours=1.0, confirm_seeds=0), store)
    while not isinstance(job := queue.next(), Signal):
        dear = job.spec.method == "focal"
        store.write({**row_of(job), "seconds": 600.0, "n_threads": 3 if dear else 1})
        queue.ended(job.key, "")
    counts = {s.spec.method.name: len(s.rows) for s in queue.studies.values()}
    assert counts == {"cross_entropy": 6, "focal": 2}


def test_more_hours_go_on_with_the_same_studies(ask):
    store = MemoryStore()
    run_with_cost(queue_of(ask("crt", hours=0.5), store), store, lambda job: 600.0)
    less = len(store.by_key)
    queue = queue_of(ask("crt", hours=0.5), store)
    assert queue.finished
    more = queue_of(ask("crt", hours=1.0), store)
    assert more.n_stored() == less
    run_with_cost(more, store, lambda job: 600.0)
    assert len(store.by_key) > less


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"hours": 0.0}, "gpu_hours 0 is not possible"),
        ({"trial_seconds": -1.0}, "trial_timeout -1 is not possible"),
        ({"hours": 1.0, "deterministic": True}, "Option deterministic"),
        ({"objectives": ("balanced_accuracy", "recal")}, "Unknown objective 'recal'"),
        ({"objectives": ("accuracy", "accuracy")}, "two that differ"),
        ({"objectives": ("accuracy", "macro_f1"), "sampler": "cmaes"}, "one objective"),
        ({"objectives": ("accuracy", "macro_f1"), "pruner": "median"}, "one objective"),
    ],
)
def test_what_cannot_be_is_refused(ask, fields, says):
    with pytest.raises(UserError, match=says):
        ask("crt", **fields)


def test_a_joint_study_draws_both_stages_and_stands_on_nothing(ask):
    store = MemoryStore()
    queue = queue_of(ask("crt", joint=True, n_trials=5), store)
    (study,) = queue.studies.values()
    assert study.spec.id.endswith("-joint")
    run_all(queue, store)
    configs = [json.loads(row["config_json"]) for row in study.rows]
    assert len({config["training.lr"] for config in configs}) == 5
    assert len({config["crt.lr"] for config in configs}) == 5
    assert all(row["encoder_rank"] is None for row in study.rows)


def test_a_method_of_one_stage_has_one_study_whether_joint_or_not(ask):
    ids = [set(queue_of(ask("focal", joint=j), MemoryStore()).studies) for j in (True, False)]
    assert ids[0] == ids[1]


@pytest.mark.parametrize("sampler", ["nsga2", "tpe", "random", "qmc", "gp"])
def test_two_objectives_are_both_told(ask, sampler):
    store = MemoryStore()
    objectives = ("balanced_accuracy", "many_recall")
    request = ask("focal", n_trials=12, sampler=sampler, objectives=objectives, confirm_seeds=1)
    queue = queue_of(request, store)
    run_all(queue, store)
    (study,) = queue.studies.values()
    trials = study._proposals._study.get_trials(deepcopy=False)
    told = [t.values for t in trials if t.values]
    assert len(told) == 12
    assert all(a + b == pytest.approx(1.0) for a, b in told)  # as memory_search makes them
    assert queue_of(request, store).finished
    best = max(study.rows, key=lambda row: row["val_balanced_accuracy"])
    assert best["key"] in {job.context.source_key for job in queue.retrainings[study.spec.id]}


def old_rows(ask, *names, seed=6):
    store = MemoryStore()
    run_all(queue_of(ask(*names, n_trials=6, seed=seed), store), store)
    for number, row in enumerate(store.rows()):
        stages = {"crt": "crt", "cross_entropy": "none"}[row["method"]]
        row |= {"representation": "cross_entropy", "calibration": stages, "finished_at": number}
    return store.rows()


def test_a_warm_start_tries_the_best_old_configs_after_the_default(ask):
    found = best_configs(old_rows(ask, "crt"))
    assert found.keys() == {"cross_entropy+none", "cross_entropy+crt"}
    store = MemoryStore()
    queue = queue_of(ask("crt", n_trials=3, warm_start=found), store)
    run_all(queue, store)
    base, study = queue.studies.values()
    configs = [json.loads(row["config_json"]) for row in base.rows]
    assert configs[1] == found["cross_entropy+none"][0]
    second = json.loads(study.rows[1]["config_json"])
    assert second["crt.lr"] == found["cross_entropy+crt"][0]["crt.lr"]
    plain = queue_of(ask("crt", n_trials=3), MemoryStore())
    assert not queue.studies.keys() & plain.studies.keys()  # studies of their own


def test_old_configs_outside_the_range_are_left_out(ask):
    found = best_configs(old_rows(ask, "crt"))
    queue = queue_of(
        ask("crt", warm_start=found, ranges={"training.lr": "0.9:0.95"}), MemoryStore()
    )
    assert [study.spec.points for study in queue.studies.values()][0] == ()


def test_a_warm_start_needs_results_of_the_methods(ask, tmp_path, monkeypatch):
    rows = old_rows(ask, "crt")
    monkeypatch.setattr(warm_start, "open_store", Store)
    table = SimpleNamespace(table=SimpleNamespace(to_pylist=lambda: rows))
    monkeypatch.setattr(Store, "scan", lambda self, columns: table)
    methods = ask("focal").methods
    with pytest.raises(UserError, match="hold no finished search trial of focal"):
        read_warm_start(tmp_path / "old", tmp_path, methods)
    with pytest.raises(UserError, match="folder of this search itself"):
        read_warm_start(tmp_path, tmp_path, methods)


def test_a_warm_start_keeps_its_configs_though_the_earlier_folder_grows(ask, tmp_path, monkeypatch):
    old, new = tmp_path / "old", tmp_path / "new"
    methods = ask("crt").methods
    best = [{"cross_entropy+crt": ({"crt.lr": 0.1},)}, {"cross_entropy+crt": ({"crt.lr": 0.9},)}]
    monkeypatch.setattr(warm_start, "best_configs", lambda rows: best[0])
    open_store(old, create=True)
    open_store(new, create=True)
    first = read_warm_start(old, new, methods)
    freeze_warm_start(old, new, first)
    best.pop(0)
    assert read_warm_start(old, new, methods) == first
    assert read_warm_start(old, tmp_path / "another", methods) != first
