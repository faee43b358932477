"""A clock that was set back: nothing that a search decides follows from the time of day."""

from datetime import datetime, timedelta

from memory_search import MemoryStore, queue_of, row_of, run_all

from lmd_bench.store.compaction import compact
from lmd_bench.store.rows import make_row
from lmd_bench.store.store import open_store


def test_rows_from_the_future_and_in_any_order_give_the_same_trials(ask):
    request = ask("crt", "logit_adjustment", n_trials=6)
    straight = MemoryStore()
    run_all(queue_of(request, straight), straight)

    first = MemoryStore()
    run_all(queue_of(request, first), first, most=9)
    for number, row in enumerate(first.rows()):  # later trials seem older, all lie ahead of now
        row |= {"started_at": f"2199-01-{28 - number:02d}T00:00:00+00:00"}
        row |= {"finished_at": f"2199-01-{28 - number:02d}T00:00:01+00:00"}
    resumed = MemoryStore(list(reversed(first.rows())))
    run_all(queue_of(request, resumed), resumed)
    assert resumed.by_key.keys() == straight.by_key.keys()


def test_the_store_itself_goes_by_no_clock(ask, tmp_path):
    request = ask("crt", "logit_adjustment", n_trials=4, results=tmp_path, deterministic=True)
    straight = MemoryStore()
    run_all(queue_of(request, straight), straight)

    store = open_store(tmp_path, create=True)
    queue = queue_of(request, store)
    for number in range(11):  # the clock is set back a day after each trial, all ahead of now
        job = queue.next()
        day = f"2199-01-{28 - number:02d}T00:00"
        times = {"started_at": f"{day}:00+00:00", "finished_at": f"{day}:01+00:00"}
        value = row_of(job)["val_balanced_accuracy"]
        costs = {"seconds": 1.0, "standalone_seconds": 1.0, "val_balanced_accuracy": value}
        store.write(make_row(job.spec, job.context, status="ok", **times, **costs))
        queue.ended(job.key, "")
        if number == 6:
            compact(tmp_path)
    before = {row["key"]: row for row in store.rows()}
    assert len(before) == 11

    resumed = MemoryStore(store.rows())
    ran = run_all(queue_of(request, resumed), resumed)
    assert not {job.key for job in ran} & before.keys()
    assert resumed.by_key.keys() == straight.by_key.keys()


def test_a_lost_trial_costs_no_negative_time(ask, tmp_path, monkeypatch):
    store = open_store(tmp_path, create=True)
    queue = queue_of(ask("cross_entropy", n_trials=1, results=tmp_path), store)
    key = queue.next().key
    queue.ended(key, "kill -9")
    queue.next()

    class Yesterday(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) - timedelta(days=1)

    monkeypatch.setattr("lmd_bench.search.queue.datetime", Yesterday)
    row = queue.ended(key, "kill -9 again")
    assert row["finished_at"] < row["started_at"]
    assert 0 <= row["seconds"] < 60
