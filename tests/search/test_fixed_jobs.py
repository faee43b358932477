"""The queue with fixed jobs: nothing is searched, what has a row is not run again."""

from dataclasses import replace

from memory_search import TASK, MemoryStore, queue_of, run_all

from lmd_bench.search.display import totals
from lmd_bench.search.jobs import Job, make_job
from lmd_bench.search.queue import JobQueue, Signal
from lmd_bench.search.run import _trace
from lmd_bench.search.sources import Fixed
from lmd_bench.search.staging import study_specs


def _jobs(request, n: int) -> list[Job]:
    study = study_specs(request)[0]
    spec = replace(study.trial(study.default), phase="transfer", study="task/crt/2ep-transfer")
    how = replace(request.context(TASK[0].dataset), source_key="whence")
    return [make_job(replace(spec, seed=seed), how) for seed in range(n)]


def test_fixed_jobs_alone_are_run_and_once(ask) -> None:
    request, store = ask("crt"), MemoryStore()
    jobs = _jobs(request, 3)

    assert [job.key for job in run_all(JobQueue(Fixed(request, jobs), store), store)] == [
        job.key for job in jobs
    ]
    again = JobQueue(Fixed(request, jobs), store)
    assert again.next() is Signal.DONE
    assert again.finished
    assert again.n_stored() == 3
    assert {row["source_key"] for row in store.rows()} == {"whence"}


def test_a_queue_cut_off_runs_the_rest(ask) -> None:
    request, store = ask("crt"), MemoryStore()
    jobs = _jobs(request, 3)
    run_all(JobQueue(Fixed(request, jobs), store), store, most=1)

    assert len(run_all(JobQueue(Fixed(request, jobs), store), store)) == 2


def test_no_fixed_jobs_are_nothing_to_run_and_not_a_search(ask) -> None:
    assert JobQueue(Fixed(ask("crt"), []), MemoryStore()).finished


def test_fixed_jobs_leave_the_rows_of_a_search_as_they_are(ask) -> None:
    request, store = ask("crt"), MemoryStore()
    run_all(queue_of(request, store), store)
    n_searched = len(store.rows())
    run_all(JobQueue(Fixed(request, _jobs(request, 2)), store), store)

    assert len(store.rows()) == n_searched + 2
    assert queue_of(request, store).finished
    assert queue_of(request, store).n_stored() == n_searched


def test_the_display_and_the_trace_count_fixed_jobs(ask) -> None:
    from lmd_bench.search.tune.slots import Slots

    request, store = ask("crt"), MemoryStore()
    queue = JobQueue(Fixed(request, _jobs(request, 3)), store)
    assert (totals(queue, 1).done, totals(queue, 1).total) == (0, 3)
    run_all(queue, store, most=2)
    assert (totals(queue, 1).done, totals(queue, 1).total) == (2, 3)
    (planned,) = _trace(queue, Slots(1, 1, 0.0), 0.0).studies
    assert (planned.method, planned.trials, planned.confirmations) == ("cross_entropy", 0, 3)
    assert planned.task == study_specs(request)[0].task_name  # whatever the study's id says


def test_when_all_fixed_jobs_of_a_study_fail_it_is_said(ask) -> None:
    request, store = ask("crt"), MemoryStore()
    queue = JobQueue(Fixed(request, _jobs(request, 2)), store)
    run_all(queue, store, status=lambda job: "oom")

    assert queue.problems() == ["task/crt/2ep-transfer: all 2 runs failed (2 oom)."]
