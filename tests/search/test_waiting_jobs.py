"""What waits in the queue: in which order it comes, where it may run, and what is said of it."""

from datetime import datetime
from pathlib import Path

import pytest
from memory_search import MemoryStore, queue_of, row_of, run_all

from lmd_bench.search.places import AT_ONCE, Place
from lmd_bench.search.proposing.study import MOST_ALIKE
from lmd_bench.search.queue import JobQueue, Signal
from lmd_bench.search.sources import Searched
from lmd_bench.store.store import Look

HERE, THERE = Place("a", "a", "0"), Place("b", "b", "0")


def names(jobs):
    """Return the method and the seed of each job, the seeds numbered as they come."""
    seeds = list(dict.fromkeys(job.spec.seed for job in jobs))
    return [(job.spec.method, seeds.index(job.spec.seed)) for job in jobs]


@pytest.mark.parametrize("at_once", [True, False])
def test_every_study_gets_its_first_confirmation_before_any_gets_its_second(ask, at_once):
    store = MemoryStore()
    queue = queue_of(ask("cross_entropy", "focal", n_trials=1), store)
    run_all(queue, store, most=2)
    jobs = [queue.next() for _ in range(4)] if at_once else run_all(queue, store)
    assert names(jobs) == [
        (method, seed) for seed in (0, 1) for method in ("cross_entropy", "focal")
    ]


def test_confirmations_are_evened_by_the_share_that_a_study_has_had(ask):
    store = MemoryStore()
    queue = queue_of(ask("cross_entropy", "focal", n_trials=2), store)
    # The default is best of focal, which has two confirmations; cross_entropy has four.
    for _ in range(4):
        job = queue.next()
        best = job.context.is_default == (job.spec.method == "focal")
        store.write({**row_of(job), "val_balanced_accuracy": 0.9 if best else 0.1})
        queue.ended(job.key, "")
    methods = [queue.next().spec.method for _ in range(6)]
    assert methods == [
        *("cross_entropy", "focal", "cross_entropy"),
        *("cross_entropy", "focal", "cross_entropy"),
    ]
    assert queue.next() is Signal.WAIT


def test_a_study_of_one_confirmation_comes_after_those_that_have_had_less(ask):
    store = MemoryStore()
    queue = queue_of(ask("cross_entropy", "focal", n_trials=1, confirm_seeds=1), store)
    run_all(queue, store, most=2)
    first = queue.next()
    assert queue.placed(first.key, HERE)
    queue.lost(first.key, "died")
    # What was lost is held back, and so are the others of its study from a second turn.
    assert [queue.next().spec.method for _ in range(2)] == ["cross_entropy", "focal"]
    assert queue.next() is Signal.WAIT


@pytest.mark.parametrize("status", ["ok", "oom"])
def test_a_confirmation_waits_for_an_encoder_until_one_has_trained_it(ask, status):
    store = MemoryStore()
    methods = ("cross_entropy", "crt", "logit_adjustment")
    queue = queue_of(ask(*methods, n_trials=1), store)
    run_all(queue, store, most=3)
    first = [queue.next() for _ in range(3)]
    assert names(first) == [("cross_entropy", 0), ("crt", 1), ("logit_adjustment", 0)]
    queue.complete(first[2].key, row_of(first[2], status))
    fourth = queue.next()
    # Its encoder is in the cache now; where that trial failed, all encoders are still in training.
    expected = ("crt", first[0]) if status == "ok" else ("cross_entropy", first[1])
    assert (fourth.spec.method, fourth.encoder) == (expected[0], expected[1].encoder)


def test_what_was_lost_comes_back_in_its_order_after_what_was_not_tried(ask):
    queue = queue_of(ask("cross_entropy", n_trials=4, confirm_seeds=0), MemoryStore())
    lost = [queue.next() for _ in range(2)]
    for job in lost:
        assert queue.lost(job.key, "died") is None
    jobs = [queue.next() for _ in range(4)]
    assert [job.context.trial_number for job in jobs] == [2, 3, 0, 1]
    assert jobs[2:] == lost


def test_what_was_turned_away_comes_first_and_in_its_order(ask):
    queue = queue_of(ask("cross_entropy", n_trials=4, confirm_seeds=0), MemoryStore())
    jobs = [queue.next() for _ in range(2)]
    for job in jobs:
        queue.preempted(job.key)
    assert [queue.next() for _ in range(2)] == jobs
    assert queue.next().context.trial_number == 2


def test_two_suspects_run_one_after_the_other(ask):
    store = MemoryStore()
    queue = queue_of(ask("cross_entropy", n_trials=2, confirm_seeds=0), store)
    suspects = [queue.next() for _ in range(2)]
    for job in suspects:
        queue.ended(job.key, "Tune died", alone=True)
    for job in suspects:
        assert not queue.finished
        assert queue.next() == job
        assert queue.next() is Signal.WAIT
        queue.complete(job.key, row_of(job))
    assert queue.finished


def test_a_suspect_that_is_turned_away_still_runs_alone(ask):
    queue = queue_of(ask("cross_entropy", n_trials=3, confirm_seeds=0), MemoryStore())
    suspect, other = queue.next(), queue.next()
    assert queue.placed(suspect.key, HERE)
    assert queue.placed(other.key, THERE)
    queue.lost(suspect.key, "Tune died", alone=True)
    queue.complete(other.key, row_of(other))
    third = queue.next()
    queue.complete(third.key, row_of(third))
    assert queue.next() == suspect
    assert not queue.placed(suspect.key, HERE)
    assert queue.next() == suspect
    assert queue.placed(suspect.key, THERE)
    assert queue.next() is Signal.WAIT


def test_a_job_runs_where_it_was_lost_when_no_other_place_takes_it(ask):
    queue = queue_of(ask("cross_entropy", n_trials=3, confirm_seeds=0), MemoryStore())
    first, second = queue.next(), queue.next()
    assert queue.placed(first.key, HERE)
    assert queue.placed(second.key, THERE)
    queue.lost(first.key, "died")
    third = queue.next()
    assert queue.placed(third.key, HERE)  # another job is welcome there
    turns = []
    for _ in range(3):
        assert queue.next() == first
        turns.append(queue.placed(first.key, HERE))
    assert turns == [False, False, True]


def test_a_job_that_knows_one_place_alone_is_not_turned_away(ask):
    queue = queue_of(ask("cross_entropy", n_trials=1, confirm_seeds=0), MemoryStore())
    job = queue.next()
    assert queue.placed(job.key, HERE)
    queue.lost(job.key, "died")
    assert queue.next() == job
    assert queue.placed(job.key, HERE)


def three_failures(queue, seconds):
    """Let a trial end well at one place, and three end with an error at another."""
    well = queue.next()
    assert queue.placed(well.key, THERE)
    queue.complete(well.key, row_of(well))
    for _ in range(3):
        job = queue.next()
        assert queue.placed(job.key, HERE)
        queue.complete(job.key, {**row_of(job, "error"), "seconds": seconds})


@pytest.mark.parametrize("seconds", [0.5, AT_ONCE - 1, AT_ONCE, 2 * AT_ONCE])
def test_only_errors_at_once_put_a_place_out_of_use(ask, seconds):
    queue = queue_of(ask("cross_entropy", n_trials=8, confirm_seeds=0), MemoryStore())
    three_failures(queue, seconds)
    broken = seconds < AT_ONCE
    assert queue.places.out == ({HERE: "a cause"} if broken else {})
    said = ["GPU 0 of a is out of use: trials fail there in a row (a cause)."]
    assert queue.said == (said if broken else [])
    job = queue.next()
    assert queue.placed(job.key, HERE) != broken
    assert queue.may_release(job.key, HERE) != broken


def test_the_slot_of_a_broken_place_is_held_to_the_end(ask):
    queue = queue_of(ask("cross_entropy", n_trials=5, confirm_seeds=0), MemoryStore())
    three_failures(queue, 0.5)
    job = queue.next()
    assert not queue.placed(job.key, HERE)
    assert queue.next() == job
    assert queue.placed(job.key, THERE)
    assert not queue.may_release(job.key, HERE)
    assert queue.may_release(job.key, THERE)
    queue.complete(job.key, row_of(job))
    assert queue.finished
    assert queue.may_release(job.key, HERE)


@pytest.mark.parametrize("status", ["ok", "pruned", "diverged", "oom"])
def test_a_trial_that_ended_as_trials_end_clears_its_place(ask, status):
    queue = queue_of(ask("cross_entropy", n_trials=8, confirm_seeds=0), MemoryStore())
    well = queue.next()
    assert queue.placed(well.key, THERE)
    queue.complete(well.key, row_of(well))
    for ended in ("error", "error", status, "error"):
        job = queue.next()
        assert queue.placed(job.key, HERE)
        queue.complete(job.key, {**row_of(job, ended), "seconds": 1.0})
    # Out of memory is the trial's own, and says nothing of its place either way.
    assert list(queue.places.out) == ([HERE] if status == "oom" else [])


@pytest.mark.parametrize(("status", "n_faults"), [("lost", 3), ("node_lost", 0)])
def test_only_a_death_of_its_own_speaks_against_a_place(ask, status, n_faults):
    queue = queue_of(ask("cross_entropy", n_trials=8, confirm_seeds=0), MemoryStore())
    well = queue.next()
    assert queue.placed(well.key, THERE)
    queue.complete(well.key, row_of(well))
    for _ in range(3):
        job = queue.next()
        assert queue.placed(job.key, HERE)
        queue.ended(job.key, "gone", status=status)
    assert list(queue.places.out) == [HERE] * (n_faults == 3)


def test_a_job_that_is_written_off_has_the_time_since_it_landed(ask):
    now = [100.0]
    store = MemoryStore()
    request = ask("cross_entropy", n_trials=1, confirm_seeds=0)
    queue = JobQueue(Searched(request), store, lambda: now[0])
    for _ in range(2):
        job = queue.next()
        now[0] += 50.0  # it waits for a slot
        assert queue.placed(job.key, HERE)
        now[0] += 7.0
        row = queue.ended(job.key, "the node is gone", status="node_lost")
        assert queue.places.of(job.key) is None
    assert (row["status"], row["seconds"], row["standalone_seconds"]) == ("node_lost", 7.0, 7.0)
    times = [datetime.fromisoformat(row[name]) for name in ("started_at", "finished_at")]
    assert times == sorted(times)
    assert all(time.utcoffset().total_seconds() == 0 and not time.microsecond for time in times)
    assert store.get(job.key) == row
    assert queue.finished


def test_a_job_that_never_landed_is_written_off_without_a_place(ask):
    now = [0.0]
    request = ask("cross_entropy", n_trials=1, confirm_seeds=0)
    queue = JobQueue(Searched(request), MemoryStore(), lambda: now[0])
    for _ in range(2):
        job = queue.next()
        now[0] += 3.0
        row = queue.lost(job.key, "no worker came")
    assert (row["cause"], row["host"], row["seconds"]) == ("no worker came", None, 3.0)


def test_the_encoders_to_come_are_of_all_that_runs_or_waits(ask):
    store = MemoryStore()
    queue = queue_of(ask("cross_entropy", n_trials=4), store)
    assert queue.encoders_to_come() == set()
    running, away, back, suspect = (queue.next() for _ in range(4))
    queue.preempted(away.key)
    queue.lost(back.key, "died")
    queue.lost(suspect.key, "died", alone=True)
    assert queue.encoders_to_come() == {job.encoder for job in (running, away, back, suspect)}
    queue = queue_of(ask("cross_entropy", n_trials=1), store)
    run_all(queue, store, most=2)
    (study,) = queue.studies
    assert len(queue.pending(study)) == 1
    assert queue.encoders_to_come() == {queue.pending(study)[0].encoder}
    assert queue.pending("another") == []


class DamagedStore(MemoryStore):
    """Has row files that cannot be read."""

    def __init__(self, n_files: int) -> None:
        super().__init__()
        self.files = tuple(Path(f"results/trials/{number}.parquet") for number in range(n_files))

    def look(self, columns, studies):
        return Look([], self.files)


@pytest.mark.parametrize(
    ("n", "named"),
    [
        (1, "0.parquet"),
        (3, "0.parquet, 1.parquet, 2.parquet"),
        (4, "0.parquet, 1.parquet, 2.parquet, ..."),
    ],
)
def test_damaged_rows_are_counted_and_the_first_are_named(ask, n, named):
    (said,) = queue_of(ask("cross_entropy"), DamagedStore(n)).said
    assert said.startswith(f"{n} damaged rows ({named}) count as missing")
    assert queue_of(ask("cross_entropy"), MemoryStore()).said == []


def test_a_study_without_a_result_is_named_with_what_became_of_its_trials(ask):
    store = MemoryStore()
    queue = queue_of(ask("cross_entropy", "focal", n_trials=3), store)
    ends = {0: "oom", 1: "diverged", 2: "oom"}
    run_all(
        queue,
        store,
        status=lambda job: ends[job.context.trial_number] if job.spec.method == "focal" else "ok",
    )
    focal = next(id for id, study in queue.studies.items() if study.spec.method.name == "focal")
    assert queue.problems() == [f"{focal}: no trial of 3 succeeded (1 diverged, 2 oom)."]


def test_a_study_that_was_stopped_is_named_with_what_failed_last(ask):
    store = MemoryStore()
    queue = queue_of(ask("cross_entropy", n_trials=20, confirm_seeds=0), store)
    while not isinstance(job := queue.next(), Signal):
        store.write({**row_of(job, "error"), "cause": f"no file {job.context.trial_number}"})
        queue.ended(job.key, "")
    (name,) = queue.studies
    assert queue.problems() == [
        f"{name}: stopped after {MOST_ALIKE} trials, the last {MOST_ALIKE} of which failed alike "
        f"(no file {MOST_ALIKE - 1})."
    ]


def test_a_study_that_still_runs_has_no_problem_yet(ask):
    store = MemoryStore()
    queue = queue_of(ask("cross_entropy", n_trials=3), store)
    run_all(queue, store, most=2, status=lambda job: "oom")
    assert queue.problems() == []
    run_all(queue, store, most=1, status=lambda job: "ok")
    run_all(queue, store, most=1, status=lambda job: "oom")  # one of two confirmations
    assert queue.problems() == []


def test_a_study_that_only_lends_its_encoders_has_no_problem_of_its_own(ask):
    store = MemoryStore()
    queue = queue_of(ask("lmd_paper", n_trials=4, confirm_seeds=0), store)
    run_all(queue, store, status=lambda job: "oom")
    n = len(store.rows())
    (problem,) = queue.problems()
    assert n == 1
    why = "no calibration could run, because the only trial of rrl+none failed (1 oom)."
    assert problem.endswith(why)


def test_stored_rows_are_counted_with_the_confirmations(ask):
    store = MemoryStore()
    queue = queue_of(ask("cross_entropy", n_trials=3), store)
    run_all(queue, store)
    assert queue.n_stored() == len(store.rows())
    assert queue_of(queue.request, store).n_stored() == len(store.rows()) > 3


def test_the_queue_keeps_of_a_row_only_what_it_goes_by(ask):
    store = MemoryStore()
    queue = queue_of(ask("cross_entropy", n_trials=1, confirm_seeds=1), store)
    for _ in range(2):
        job = queue.next()
        store.write({**row_of(job), "class_names": ["a"] * 1000})
        queue.ended(job.key, "")
    (study,) = queue.studies.values()
    for row in (*study.rows, *queue.retrained.values()):
        assert "class_names" not in row
        assert row["status"] == "ok"
