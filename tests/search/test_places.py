"""Broken GPUs and nodes: simulated slots, some of which end every trial after seconds."""

import heapq
from collections import Counter

import pytest
from memory_search import MemoryStore, row_of

from lmd_bench.search.jobs import Job
from lmd_bench.search.places import Place, Places
from lmd_bench.search.queue import JobQueue, Signal
from lmd_bench.search.sources import Searched

LIFE = 600.0  # seconds of a trial that is well


class Cluster:
    """Slots as Tune and Ray have them: whoever is free takes the next job."""

    def __init__(self, queue_of, slots, dies, store):
        self.now = 0.0
        self.queue, self.slots, self.dies, self.store = queue_of(self.clock), slots, dies, store

    def clock(self):
        return self.now

    def run(self):
        queue, n = self.queue, 0
        free, held, heap = list(self.slots), {}, []
        while True:
            for slot, key in list(held.items()):
                if queue.may_release(key, slot):
                    free.append(slot)
                    del held[slot]
            while free and isinstance(job := queue.next(), Job):
                slot = free.pop(0)
                if not queue.placed(job.key, slot):
                    held[slot] = job.key
                    continue
                dies = self.dies(job, slot)
                seconds = LIFE if dies is None else dies + n / 1000
                heapq.heappush(heap, (self.now + seconds, n, slot, job))
                n += 1
            if not heap:
                assert queue.next() is Signal.DONE or held
                if queue.finished:
                    return
                continue
            self.now, _, slot, job = heapq.heappop(heap)
            free.append(slot)
            if self.dies(job, slot) is not None:
                queue.lost(job.key, "died")
            else:
                self.store.write(row_of(job))
                queue.ended(job.key, "")


def run(ask, slots, dies, *methods, **fields):
    """Return the statuses of the rows, and the queue; `dies` gives seconds, or None."""
    store = MemoryStore()
    fields = {"n_trials": 100, "confirm_seeds": 0, "sampler": "random"} | fields
    request = ask(*(methods or ("cross_entropy",)), **fields)
    cluster = Cluster(lambda clock: JobQueue(Searched(request), store, clock), slots, dies, store)
    cluster.run()
    return Counter(row["status"] for row in store.rows()), cluster.queue


def broken(slots):
    return lambda job, slot: 10.0 if slot in slots else None


def gpus(n, node="a"):
    return [Place(node, node, str(number)) for number in range(n)]


@pytest.mark.parametrize("n", [2, 8, 64])
def test_one_broken_gpu_loses_no_trial(ask, n):
    slots = gpus(n)
    found, queue = run(ask, slots, broken(slots[:1]))
    assert found["ok"] == 100
    assert list(queue.places.out) == [slots[0]]
    assert queue.said == ["GPU 0 of a is out of use: trials fail there in a row (died)."]


def test_three_broken_gpus_of_eight_lose_next_to_nothing(ask):
    slots = gpus(8)
    found, queue = run(ask, slots, broken(slots[:3]))
    assert found["ok"] >= 97
    assert set(queue.places.out) == set(slots[:3])


def test_a_whole_broken_node_is_put_out_of_use(ask):
    slots = [*gpus(4, "bad"), *gpus(4, "good")]
    found, queue = run(ask, slots, broken(slots[:4]))
    assert found["ok"] >= 97
    assert set(queue.places.out) == set(slots[:4])


def test_the_last_place_stays_in_use(ask):
    (slot,) = gpus(1)
    found, queue = run(ask, [slot], broken([slot]), n_trials=4)
    assert found["ok"] == 0
    assert queue.places.out == {}
    assert queue.finished


def test_a_method_that_dies_everywhere_puts_no_place_out_of_use(ask):
    def dies(job, slot):
        return 3.0 if job.spec.method == "focal" else None

    found, queue = run(ask, gpus(4), dies, "cross_entropy", "focal", n_trials=12)
    assert found == {"ok": 12, "lost": 12}
    assert queue.places.out == {}


def test_a_lost_job_runs_elsewhere_and_after_what_was_not_tried(ask):
    here, there = gpus(2)
    queue = JobQueue(Searched(ask("cross_entropy", n_trials=4, confirm_seeds=0)), MemoryStore())
    first, second = queue.next(), queue.next()
    assert queue.placed(first.key, here)
    assert queue.placed(second.key, there)
    queue.lost(first.key, "died")
    third = queue.next()
    assert third.key not in (first.key, second.key)
    assert queue.placed(third.key, there)
    queue.next()
    assert queue.next() == first
    assert not queue.placed(first.key, here)
    assert not queue.may_release(first.key, here)
    assert queue.next() == first
    assert queue.may_release(first.key, here)
    assert queue.placed(first.key, there)


def test_a_failure_at_once_counts_and_a_late_one_does_not():
    now = [0.0]
    places = Places(lambda: now[0])
    bad, good = gpus(2)
    places.begins("long", good, "crt")
    for number in range(3):
        places.begins(str(number), bad, "crt")
        now[0] += 10.0
        out = places.fault(str(number), "no CUDA")
    assert out == (bad,)
    assert places.usable(good)


def test_something_well_in_between_begins_the_count_anew():
    now = [0.0]
    places = Places(lambda: now[0])
    here, there = gpus(2)
    places.begins("long", there, "crt")
    for number in range(8):
        places.begins(str(number), here, "crt")
        now[0] += 10.0
        if number % 3 == 2:
            places.went_well(str(number))
        else:
            assert places.fault(str(number), "died") == ()
    assert places.usable(here)


def test_a_preempted_job_is_put_back_and_counted_nowhere(ask):
    queue = JobQueue(Searched(ask("cross_entropy", n_trials=1, confirm_seeds=0)), MemoryStore())
    for _ in range(5):
        job = queue.next()
        assert queue.placed(job.key, Place("spot"))
        queue.preempted(job.key)
    assert queue.next() == job
    assert queue.places.out == {}


def test_a_row_that_is_written_off_names_the_place(ask):
    queue = JobQueue(Searched(ask("cross_entropy", n_trials=1, confirm_seeds=0)), MemoryStore())
    for _ in range(2):
        job = queue.next()
        queue.placed(job.key, Place("n1", "node37", "2"))
        row = queue.lost(job.key, "no driver")
    assert row["cause"] == "no driver (GPU 2 of node37)"
    assert row["host"] == "node37"
