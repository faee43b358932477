"""--deterministic: the same trials at any concurrency, in any order of ending, after any death."""

import random

import pytest
from memory_search import MemoryStore, queue_of, row_of, run_all

from lmd_bench.search.jobs import Job
from lmd_bench.search.proposing.samplers import SAMPLERS
from lmd_bench.search.queue import JobQueue


def _run_beside(queue: JobQueue, store: MemoryStore, concurrent: int, seed: int) -> None:
    """Run up to `concurrent` jobs at once; which of them ends next is drawn."""
    rng, running = random.Random(seed), []
    while not queue.finished:
        while len(running) < concurrent and isinstance(job := queue.next(), Job):
            running.append(job)
        job = running.pop(rng.randrange(len(running)))
        store.write(row_of(job))
        queue.ended(job.key, "")


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_concurrency_changes_no_trial(ask, sampler: str):
    # A Gaussian process takes a second for each configuration: one stage says as much as two.
    method, n_stages = ("cross_entropy", 1) if sampler == "gp" else ("crt", 2)
    request = ask(method, n_trials=20, sampler=sampler, deterministic=True)
    one = MemoryStore()
    run_all(queue_of(request, one), one)
    assert sum(row["phase"] == "search" for row in one.rows()) == 20 * n_stages
    for concurrent, seed in ((5, 2), (32, 3)):
        store = MemoryStore()
        _run_beside(queue_of(request, store), store, concurrent, seed)
        assert store.by_key == one.by_key


@pytest.mark.parametrize("pruner", ["median", "halving", "hyperband"])
def test_concurrency_changes_no_threshold(ask, pruner: str):
    asked = {"n_trials": 16, "n_epochs": 12, "pruner": pruner, "sampler": "random"}
    request = ask("cross_entropy", deterministic=True, confirm_seeds=0, **asked)

    def told(concurrent: int, seed: int) -> dict[str, tuple[object, ...]]:
        """Run the search; return the thresholds that each trial was given."""
        store, queue, rng = MemoryStore(), None, random.Random(seed)
        queue = queue_of(request, store)
        running: list[Job] = []
        given: dict[str, tuple[object, ...]] = {}
        while not queue.finished:
            while len(running) < concurrent and isinstance(job := queue.next(), Job):
                given[job.key] = job.context.thresholds
                running.append(job)
            job = running.pop(rng.randrange(len(running)))
            row = row_of(job)
            scores = [row["val_balanced_accuracy"] * (epoch + 1) / 12 for epoch in range(12)]
            points = [{"stage": "representation", "val_balanced_accuracy": v} for v in scores]
            store.write({**row, "curve": points})
            queue.ended(job.key, "")
        return given

    one = told(1, 0)
    assert any(one.values())
    for concurrent, seed in ((2, 1), (4, 2), (4, 3)):
        assert told(concurrent, seed) == one


def test_without_it_the_order_of_ending_matters(ask):
    request = ask("crt", n_trials=24)
    one, store = MemoryStore(), MemoryStore()
    run_all(queue_of(request, one), one)
    _run_beside(queue_of(request, store), store, 5, 2)
    assert set(store.by_key) != set(one.by_key)


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "qmc"])
def test_a_killed_search_goes_on_with_the_same_trials(ask, sampler: str):
    request = ask("crt", n_trials=14, sampler=sampler, deterministic=True)
    one = MemoryStore()
    run_all(queue_of(request, one), one)
    rng = random.Random(0)
    for kept in (3, 11, 20):
        store = MemoryStore(rng.sample(one.rows()[: kept + 3], kept))
        _run_beside(queue_of(request, store), store, 3, kept)
        assert store.by_key == one.by_key


def test_each_batch_begins_when_all_of_the_one_before_has_ended(ask):
    asked = {"n_trials": 14, "sampler": "random", "confirm_seeds": 0}
    queue = queue_of(ask("cross_entropy", deterministic=True, **asked), MemoryStore())
    sizes: list[int] = []
    while not queue.finished:
        jobs: list[Job] = []
        while isinstance(job := queue.next(), Job):
            jobs.append(job)
        sizes.append(len(jobs))
        for job in reversed(jobs):
            queue.complete(job.key, row_of(job))
    assert sizes == [4, 4, 4, 2]
    (study,) = queue.studies.values()
    # The sampler learns of whole batches alone.
    assert [state.name for state in study._proposals.states()] == [
        *["COMPLETE"] * 12,
        *["RUNNING"] * 2,
    ]


def test_a_failed_trial_is_part_of_its_batch(ask):
    request = ask("cross_entropy", n_trials=14, deterministic=True)

    def status(job: Job) -> str:
        return "diverged" if job.context.trial_number in (2, 7) else "ok"

    one, again = MemoryStore(), MemoryStore()
    run_all(queue_of(request, one), one, status=status)
    run_all(queue_of(request, again), again, most=6, status=status)
    run_all(queue_of(request, again), again, status=status)
    assert again.by_key == one.by_key
    assert sum(row["status"] == "diverged" for row in one.rows()) == 2
