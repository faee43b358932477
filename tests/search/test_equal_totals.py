"""`--budget total`: a method of one stage has as many trials as both stages of others together."""

from collections import Counter

import pytest
from memory_search import MemoryStore, queue_of, row_of, run_all

from lmd_bench.cli.search import print_plan
from lmd_bench.search.options import Budget
from lmd_bench.search.plan import plan
from lmd_bench.search.proposing.study import Study
from lmd_bench.search.queue import Signal

ALL = ("cross_entropy", "crt", "lmd")


def searched(jobs):
    return Counter(job.spec.method for job in jobs if job.spec.phase == "search")


def of_method(queue, name) -> Study:
    return next(study for study in queue.studies.values() if study.spec.method.name == name)


@pytest.mark.parametrize("deterministic", [False, True])
def test_a_method_of_one_stage_has_the_trials_of_both_stages_of_others(ask, deterministic):
    store = MemoryStore()
    request = ask(*ALL, equal_totals=True, deterministic=deterministic)
    ran = run_all(queue_of(request, store), store)
    counts = searched(ran)
    (helper,) = counts.keys() - set(ALL)  # it only lends its encoders, so it is of one share
    assert counts == {"cross_entropy": 8, "crt": 4, "lmd": 4, helper: 4}


def test_that_is_the_default_of_a_search_and_can_be_had_the_old_way():
    assert Budget().fields()["equal_totals"]
    assert not Budget(budget_of="per-study").fields()["equal_totals"]


def test_calibrations_choose_among_the_encoders_of_the_first_share(ask):
    store = MemoryStore()
    queue = queue_of(ask("cross_entropy", "crt", equal_totals=True, top_k=8), store)
    ran = run_all(queue, store)
    base = [job for job in ran if job.spec.method == "cross_entropy"]
    first = {job.encoder for job in base if job.context.trial_number < 4}
    own = [job for job in ran if job.spec.method == "crt" and job.spec.phase == "search"]
    assert {job.encoder for job in own} <= first
    assert {job.context.n_stage1_trials for job in own} == {4}
    assert {job.context.n_stage1_trials for job in base} == {None}


def test_a_calibration_starts_when_the_first_share_has_ended(ask):
    store = MemoryStore()
    queue = queue_of(ask("cross_entropy", "crt", equal_totals=True), store)
    ran = run_all(queue, store, most=5)
    assert [job.spec.method for job in ran] == ["cross_entropy"] * 4 + ["crt"]


def test_which_trial_ends_first_does_not_change_what_is_offered(ask):
    store = MemoryStore()
    queue = queue_of(ask("cross_entropy", "crt", equal_totals=True), store)
    jobs = [queue.next() for _ in range(6)]
    assert {job.spec.method for job in jobs} == {"cross_entropy"}
    for job in reversed(jobs):
        assert not of_method(queue, "crt").ready
        store.write(row_of(job))
        queue.ended(job.key, "")
    ranked = of_method(queue, "cross_entropy").ranked_encoders()
    assert of_method(queue, "crt").ready
    assert len(ranked) == 4


@pytest.mark.parametrize("budget", [{}, {"hours": 1.0}], ids=["trials", "hours"])
def test_a_method_that_a_later_search_adds_chooses_among_the_first_share_too(ask, budget):
    def ran(store: MemoryStore, *methods: str) -> None:
        queue = queue_of(ask(*methods, equal_totals=True, confirm_seeds=0, **budget), store)
        while not isinstance(job := queue.next(), Signal):
            store.write({**row_of(job), "seconds": 1000.0})
            queue.ended(job.key, "")

    together, one_by_one = MemoryStore(), MemoryStore()
    ran(together, "cross_entropy", "crt")
    ran(one_by_one, "cross_entropy")
    ran(one_by_one, "crt")
    assert one_by_one.by_key == together.by_key


@pytest.mark.parametrize("prefix", [1, 3, 4, 6, 9, 13, 17])
def test_a_search_that_is_cut_off_runs_exactly_the_rest(ask, prefix):
    request = ask(*ALL, equal_totals=True)
    whole, store = MemoryStore(), MemoryStore()
    run_all(queue_of(request, whole), whole)
    first = run_all(queue_of(request, store), store, most=prefix)
    rest = run_all(queue_of(request, store), store)
    assert not {job.key for job in first} & {job.key for job in rest}
    assert store.by_key.keys() == whole.by_key.keys()


def test_the_trials_of_a_search_per_study_are_the_first_of_one_of_equal_totals(ask):
    old, new = MemoryStore(), MemoryStore()
    run_all(queue_of(ask("cross_entropy", "crt", confirm_seeds=0), old), old)
    request = ask("cross_entropy", "crt", confirm_seeds=0, equal_totals=True)
    run_all(queue_of(request, new), new)
    assert old.by_key.keys() < new.by_key.keys()
    more = run_all(queue_of(request, old), old)
    assert searched(more) == {"cross_entropy": 4}


@pytest.mark.parametrize("fields", [{"n_trials": 1}, {"joint": True, "n_trials": 4}])
def test_where_nothing_is_searched_twice_nothing_is_added(ask, fields):
    store = MemoryStore()
    counts = searched(
        run_all(queue_of(ask("focal", "crt", equal_totals=True, **fields), store), store)
    )
    assert counts["focal"] == counts["crt"] == fields["n_trials"]


def test_of_hours_too_the_first_share_is_offered(ask):
    store = MemoryStore()
    request = ask("cross_entropy", "crt", hours=1.0, equal_totals=True, confirm_seeds=0)
    queue = queue_of(request, store)
    while not isinstance(job := queue.next(), Signal):
        store.write({**row_of(job), "seconds": 1000.0})  # 3 in an hour, 7 in two
        queue.ended(job.key, "")
    assert len(of_method(queue, "cross_entropy").rows) == 7
    assert of_method(queue, "crt").n_stage1_trials == 3
    assert len(of_method(queue, "crt").rows) == 3


def test_the_plan_counts_and_tells_it(ask, tmp_path, capsys):
    request = ask(*ALL, equal_totals=True, results=tmp_path / "none")
    outline = plan(queue_of(request, MemoryStore()), lambda spec: False)
    assert {study.method: study.budget for study in outline.studies if study.method in ALL} == {
        "cross_entropy": 8,
        "crt": 4,
        "lmd": 4,
    }
    print_plan(request)
    told = " ".join(capsys.readouterr().out.split())
    assert "A method of one stage has 8 trials" in told
    assert "the encoders of the first 4." in told
    store = MemoryStore()
    ran = run_all(queue_of(request, store), store)
    assert len(ran) <= outline.trials + outline.confirmations
    assert len({job.encoder for job in ran}) <= outline.encoders
