"""A clock that was set back: nothing that a search decides follows from the time of day."""

from memory_search import MemoryStore, run_all

from lmd_bench.search.queue import JobQueue


def test_rows_from_the_future_and_in_any_order_give_the_same_trials(ask):
    request = ask("crt", "logit_adjustment", n_trials=6)
    straight = MemoryStore()
    run_all(JobQueue(request, straight), straight)

    first = MemoryStore()
    run_all(JobQueue(request, first), first, most=9)
    for number, row in enumerate(first.rows()):  # later trials seem older, all lie ahead of now
        row |= {"started_at": f"2199-01-{28 - number:02d}T00:00:00+00:00"}
        row |= {"finished_at": f"2199-01-{28 - number:02d}T00:00:01+00:00"}
    resumed = MemoryStore(list(reversed(first.rows())))
    run_all(JobQueue(request, resumed), resumed)
    assert resumed.by_key.keys() == straight.by_key.keys()
