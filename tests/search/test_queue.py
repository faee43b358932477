from collections import Counter

import pytest
from memory_search import TASK, MemoryStore, assert_goes_on, queue_of, row_of, run_all

from lmd_bench.core.schema import TaskSpec
from lmd_bench.core.seeding import derive_seed
from lmd_bench.search.queue import Signal

ALL = ("cross_entropy", "crt", "logit_adjustment", "lmd")


def phases(jobs):
    return [job.spec.phase for job in jobs]


def test_the_first_trial_of_every_study_is_the_default_config(ask):
    store = MemoryStore()
    queue = queue_of(ask(*ALL), store)
    run_all(queue, store)
    for study in queue.studies.values():
        first = study.rows[0]
        assert first["trial_number"] == 0
        assert first["is_default"]
        assert study.spec_of(study.spec.default).key == first["key"]
        assert sum(row["is_default"] for row in study.rows) == 1


def test_each_job_runs_once_and_then_nothing_is_left(ask):
    store = MemoryStore()
    queue = queue_of(ask(*ALL), store)
    ran = run_all(queue, store)
    assert max(Counter(job.key for job in ran).values()) == 1
    assert queue.finished
    assert queue.next() is Signal.DONE


def test_the_budget_of_a_search_can_be_counted_by_hand(ask):
    store = MemoryStore()
    ran = run_all(queue_of(ask(*ALL), store), store)
    searched = Counter(job.spec.method for job in ran if job.spec.phase == "search")
    # logit_adjustment has one config per offered encoder: three or four
    assert searched.pop("logit_adjustment") in (3, 4)
    (helper,) = searched.keys() - set(ALL)  # the representation that lmd stands on
    assert searched == {"cross_entropy": 4, "crt": 4, "lmd": 4, helper: 4}
    confirmed = Counter(job.spec.method for job in ran if job.spec.phase == "confirm")
    assert set(confirmed) == set(ALL)
    assert set(confirmed.values()) <= {2, 4}  # 2 seeds; selected and default, or both the same


def test_one_representation_study_is_shared(ask):
    queue = queue_of(ask("crt", "logit_adjustment", "cross_entropy"), MemoryStore())
    bases = {s.spec.stands_on for s in queue.studies.values() if s.spec.stands_on}
    methods = [study.spec.method.name for study in queue.studies.values()]
    assert sorted(methods) == ["cross_entropy", "crt", "logit_adjustment"]
    assert bases == {id for id in queue.studies if "/cross_entropy/" in id}


def test_a_helper_representation_study_is_not_confirmed(ask):
    store = MemoryStore()
    # no named method is this stage 1 alone, so the helper goes by its pair
    ran = run_all(queue_of(ask("lmd_paper"), store), store)
    assert {job.spec.method for job in ran if job.spec.phase == "confirm"} == {"lmd_paper"}
    assert {job.spec.method for job in ran} == {"lmd_paper", "rrl+none"}


def test_methods_with_other_stage_1_settings_do_not_share_a_study(ask):
    queue = queue_of(ask("lmd", "lmd_paper"), MemoryStore())
    assert len(queue.studies) == 4
    assert len({study.spec.stands_on for study in queue.studies.values()}) == 3  # with None


@pytest.mark.parametrize("prefix", [0, 1, 3, 5, 8, 11, 15, 20, 22])
def test_a_search_cut_off_after_any_trial_runs_exactly_the_rest(ask, prefix):
    request = ask("crt", "cross_entropy", "lmd")
    assert_goes_on(request, prefix)


def test_jobs_that_were_running_when_the_driver_died_are_run(ask):
    request = ask("cross_entropy", n_trials=6, confirm_seeds=0)
    store = MemoryStore()
    queue = queue_of(request, store)
    jobs = [queue.next() for _ in range(3)]
    store.write(row_of(jobs[1]))
    run_all(queue_of(request, store), store)
    numbers = sorted(row["trial_number"] for row in store.rows())
    assert numbers == [0, 1, 2, 3, 4, 5]
    assert jobs[0].key in store.by_key  # the default


def test_a_larger_budget_continues_the_same_studies(ask):
    store = MemoryStore()
    run_all(queue_of(ask("crt", n_trials=3), store), store)
    more = run_all(queue_of(ask("crt", n_trials=5), store), store)
    assert Counter(job.spec.method for job in more if job.spec.phase == "search") == {
        "cross_entropy": 2,
        "crt": 2,
    }


def test_the_same_command_on_a_finished_search_runs_nothing(ask):
    store = MemoryStore()
    run_all(queue_of(ask(*ALL), store), store)
    queue = queue_of(ask(*ALL), store)
    assert queue.finished
    assert queue.next() is Signal.DONE


def test_test_is_opened_only_after_the_study_has_used_its_budget(ask):
    store = MemoryStore()
    queue = queue_of(ask("crt", "cross_entropy"), store)
    done: Counter[str] = Counter()
    for job in run_all(queue, store):
        if job.spec.phase == "search":
            done[job.spec.study] += 1
        else:
            assert done[job.spec.study] == 4
            assert job.context.source_key in store.by_key


def test_confirmation_retrains_the_best_and_the_default_config_with_the_same_fresh_seeds(ask):
    store = MemoryStore()
    queue = queue_of(ask("crt"), store)
    run_all(queue, store)
    (study,) = (s for s in queue.studies.values() if s.spec.method.name == "crt")
    best = max(study.rows, key=lambda row: row["val_balanced_accuracy"])
    confirmed = [row for row in store.rows() if row["phase"] == "confirm"]
    assert {row["source_key"] for row in confirmed} == {best["key"], study.rows[0]["key"]}
    seeds = {derive_seed(0, "confirm", 0), derive_seed(0, "confirm", 1)}
    assert {row["seed"] for row in confirmed} == seeds
    assert derive_seed(0, "search") not in seeds
    assert {row["study"] for row in confirmed} == {study.spec.id}


def test_a_best_config_that_is_the_default_is_confirmed_once(ask):
    store = MemoryStore()
    ran = run_all(queue_of(ask("cross_entropy", n_trials=1), store), store)
    assert phases(ran) == ["search", "confirm", "confirm"]


def test_studies_progress_evenly(ask):
    other = (TaskSpec("synthetic", imbalance_factor=50.0, image_size=32), "e" * 20)
    request = ask("cross_entropy", "rrl+none", tasks=(TASK, other), confirm_seeds=0)
    store = MemoryStore()
    queue = queue_of(request, store)
    for n_each in (1, 2, 3, 4):
        run_all(queue, store, most=4)
        assert {len(study.rows) for study in queue.studies.values()} == {n_each}


def test_a_calibration_study_waits_for_its_representation_study(ask):
    queue = queue_of(ask("crt", n_trials=2), MemoryStore())
    first, second = queue.next(), queue.next()
    assert {first.spec.method, second.spec.method} == {"cross_entropy"}
    assert queue.next() is Signal.WAIT
    queue.complete(first.key, row_of(first))
    assert queue.next() is Signal.WAIT
    queue.complete(second.key, row_of(second))
    assert queue.next().spec.method == "crt"


def test_a_calibration_whose_every_stage_1_failed_is_reported(ask):
    store = MemoryStore()
    queue = queue_of(ask("crt"), store)
    ran = run_all(queue, store, status=lambda job: "diverged")
    assert phases(ran) == ["search"] * 4
    assert queue.finished
    (problem,) = queue.problems()
    assert "all 4 trials of cross_entropy failed (4 diverged)" in problem


def test_a_job_lost_with_its_worker_is_tried_once_more_and_then_written_off(ask):
    store = MemoryStore()
    queue = queue_of(ask("cross_entropy", n_trials=1), store)
    job = queue.next()
    assert queue.lost(job.key, "kill -9") is None
    again = queue.next()
    assert again == job
    row = queue.lost(job.key, "kill -9")
    assert (row["status"], row["cause"]) == ("lost", "kill -9")
    assert store.get(job.key) == row
    assert queue.finished


def test_a_row_written_before_its_worker_died_counts(ask):
    store = MemoryStore()
    queue = queue_of(ask("cross_entropy", n_trials=1, confirm_seeds=0), store)
    job = queue.next()
    store.write(row_of(job))
    assert queue.ended(job.key, "kill -9") == row_of(job)
    assert queue.finished


def test_a_suspect_job_is_tried_again_with_no_other_beside_it(ask):
    queue = queue_of(ask("cross_entropy", n_trials=3, confirm_seeds=0), MemoryStore())
    suspect, other = queue.next(), queue.next()
    queue.lost(suspect.key, "Tune died", alone=True)
    third = queue.next()
    assert third.key not in (suspect.key, other.key)
    assert queue.next() is Signal.WAIT
    for job in (other, third):
        queue.complete(job.key, row_of(job))
    assert queue.next() == suspect
    assert queue.next() is Signal.WAIT
    queue.complete(suspect.key, row_of(suspect))
    assert queue.finished


def test_a_confirmation_whose_encoder_is_being_trained_goes_last(ask):
    request = ask("cross_entropy", "crt", "logit_adjustment", n_trials=1)
    store = MemoryStore()
    queue = queue_of(request, store)
    run_all(queue, store, most=3)
    jobs = [queue.next() for _ in range(6)]
    assert phases(jobs) == ["confirm"] * 6
    assert len({job.encoder for job in jobs}) == 2  # one default config, two seeds
    assert jobs[0].encoder != jobs[1].encoder


def test_confirmations_come_after_searches_so_that_no_study_waits_for_them(ask):
    store = MemoryStore()
    ran = run_all(queue_of(ask("cross_entropy", "crt"), store), store)
    assert phases(ran) == sorted(phases(ran), reverse=True)


def test_a_study_whose_every_confirmation_failed_is_reported(ask):
    queue = queue_of(ask("cross_entropy", n_trials=1), store := MemoryStore())
    run_all(queue, store, status=lambda j: "oom" if j.spec.phase == "confirm" else "ok")
    (problem,) = queue.problems()
    assert problem.endswith("all 2 confirmations failed (2 oom).")


def test_a_search_without_confirmation_has_no_problem(ask):
    queue = queue_of(ask("crt", confirm_seeds=0), store := MemoryStore())
    run_all(queue, store)
    assert queue.finished
    assert queue.problems() == []
