"""Pruners by hand-worked curves, and in the queue; a trial ends where its threshold says."""

import pytest
from memory_search import MemoryStore, queue_of, row_of

from lmd_bench.core.errors import UserError
from lmd_bench.methods.best_epoch import first_judged
from lmd_bench.search.jobs import from_payload
from lmd_bench.search.proposing.pruning import (
    UNJUDGED,
    halving,
    hyperband,
    judged,
    median_rule,
    rungs,
)
from lmd_bench.search.queue import Signal

CURVES = [[0.1, 0.5, 0.4, 0.6], [0.3, 0.2, 0.2, 0.2], [0.2, 0.4, 0.6, 0.7], [0.4, 0.4]]


def test_the_median_is_of_the_best_so_far_and_waits_for_four_curves():
    # epoch 1: 0.1 0.2 0.3 0.4; epoch 2: best so far 0.5 0.3 0.4 0.4; epoch 3 has three curves
    assert median_rule(CURVES, 4, 1, 0) == ((1, 0.25), (2, 0.4))
    assert median_rule(CURVES, 4, 2, 0) == ((2, 0.4),)
    assert median_rule(CURVES[:3], 4, 1, 0) == ()


def test_halving_keeps_a_third_at_each_rung():
    assert rungs(1, 10) == [1, 3, 9]
    assert rungs(1, 9) == [1, 3]  # the last epoch ends nothing
    # rung 1: five with the trial itself, one is kept; rung 3: four there with it, one is kept
    assert halving(CURVES, 10, 1, 0) == ((1, 0.4), (3, 0.6))
    six = [[value / 10] for value in range(5)]
    assert halving(six, 10, 1, 0) == ((1, 0.3),)  # six with the trial itself, two are kept


def test_hyperband_takes_turns_between_brackets():
    long = [[0.1 * n] * 9 for n in range(3)]
    firsts = [[epoch for epoch, _ in hyperband(long, 10, 1, number)][:1] for number in range(5)]
    assert firsts == [[1], [3], [9], [], [1]]


def test_nothing_is_judged_before_the_deferral_point():
    assert first_judged(0.0, 10) == 1
    assert first_judged(0.8, 10) == 9
    assert first_judged(0.7, 10) == 8  # 0.7 x 10 is 7.000000000000001 in some orders


def with_curve(job, values):
    points = [
        {"stage": "representation", "epoch": n, "loss": 1.0, "val_balanced_accuracy": value}
        for n, value in enumerate(values, start=1)
    ]
    return {**row_of(job), "curve": points}


def test_a_trial_takes_the_thresholds_of_its_own_study(ask):
    store = MemoryStore()
    request = ask(["cross_entropy", "ldam_drw"][0], n_trials=8, n_epochs=4, pruner="median")
    queue = queue_of(request, store)
    for number in range(4):
        job = queue.next()
        assert job.context.thresholds == ()
        row = with_curve(job, CURVES[number] if number != 3 else [0.4, 0.4, 0.4, 0.4])
        store.write(row)
        queue.ended(job.key, "")
    job = queue.next()
    assert job.context.thresholds == ((1, 0.25), (2, 0.4), (3, pytest.approx(0.45)))
    assert from_payload(job.to_payload()) == job
    again = queue_of(request, store).next()
    assert again.context.thresholds == job.context.thresholds  # follows from the store


def test_a_deferred_method_is_not_judged_before_it_has_begun(ask):
    store = MemoryStore()
    fields = {"n_trials": 6, "n_epochs": 10, "pruner": "median"}
    queue = queue_of(ask("ldam_drw", **fields, overrides={"ldam_drw.start": 0.6}), store)
    for _ in range(4):
        job = queue.next()
        store.write(with_curve(job, [0.1 * n for n in range(10)]))
        queue.ended(job.key, "")
    assert [epoch for epoch, _ in queue.next().context.thresholds] == [7, 8, 9]


def test_no_score_from_before_the_deferral_point_is_compared(ask):
    store = MemoryStore()
    fields = {"n_trials": 6, "n_epochs": 10, "pruner": "median", "grace_period": 8}
    queue = queue_of(ask("ldam_drw", **fields, overrides={"ldam_drw.start": 0.6}), store)
    for _ in range(4):
        job = queue.next()
        store.write(with_curve(job, [0.55] * 6 + [0.45] + [0.4] * 3))
        queue.ended(job.key, "")
    context = queue.next().context
    # epoch 7 may be kept, so it counts, although nothing is ended in it
    assert context.thresholds == ((8, 0.45), (9, 0.45))
    assert context.judged_from == 7


@pytest.mark.parametrize("pruner", ["median", "halving"])
def test_each_trial_is_compared_from_its_own_deferral_point_on(ask, pruner):
    store = MemoryStore()
    fields = {"n_trials": 9, "n_epochs": 10, "pruner": pruner, "sampler": "random"}
    queue = queue_of(ask("ldam_drw", **fields, confirm_seeds=0), store)
    n_before = 0
    while not isinstance(job := queue.next(), Signal):
        first = first_judged(job.spec.config["ldam_drw.start"], 10)
        n_before += first - 1
        assert job.context.judged_from == first
        assert {least for _, least in job.context.thresholds} <= {0.4}
        store.write(with_curve(job, [0.55] * (first - 1) + [0.4] * (11 - first)))
        queue.ended(job.key, "")
    assert n_before > 9


def test_what_has_not_begun_by_an_epoch_is_not_compared_in_it():
    curves = [judged([0.5, 0.4, 0.3, 0.3], first) for first in (1, 1, 2, 3, 3)]
    assert curves[3] == [UNJUDGED, UNJUDGED, 0.3, 0.3]
    assert median_rule(curves, 4, 1, 0) == ((3, 0.4),)
    assert halving(curves, 4, 1, 0) == ((1, 0.5), (3, 0.5))
    assert judged([0.5], 3) == [UNJUDGED]


def test_pruned_trials_count_and_optuna_knows_them_as_pruned(ask):
    store = MemoryStore()
    request = ask("cross_entropy", n_trials=6, pruner="halving", confirm_seeds=0)
    queue = queue_of(request, store)
    n = 0
    while not isinstance(job := queue.next(), Signal):
        row = with_curve(job, [0.1 * n])
        if n == 3:
            row |= {"status": "pruned", "val_balanced_accuracy": None}
        store.write(row)
        queue.ended(job.key, "")
        n += 1
    assert n == 6
    for state in (queue, queue_of(request, store)):
        (study,) = state.studies.values()
        names = [state.name for state in study._proposals.states()]
        assert names.count("PRUNED") == 1
        assert names.count("COMPLETE") == 5


def test_no_trial_is_ended_in_its_grace_period(ask):
    store = MemoryStore()
    request = ask("cross_entropy", n_trials=6, n_epochs=4, pruner="median", grace_period=3)
    queue = queue_of(request, store)
    for curve in ([0.1, 0.3, 0.2, 0.4],) * 4:
        job = queue.next()
        store.write(with_curve(job, curve))
        queue.ended(job.key, "")
    context = queue.next().context
    # an epoch of the grace period may be kept, so it counts
    assert context.thresholds == ((3, 0.3),)
    assert context.judged_from == 1
    assert job.spec.study.endswith("-median-grace3")


def test_it_makes_a_study_of_its_own_only_where_something_prunes(ask):
    def study(**fields):
        return next(
            iter(queue_of(ask("cross_entropy", n_epochs=9, **fields), MemoryStore()).studies)
        )

    assert study(pruner="halving") == study(pruner="halving", grace_period=1)
    assert study(pruner="halving") != study(pruner="halving", grace_period=2)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"pruner": "median", "grace_period": 0}, "grace_period 0 is not possible"),
        ({"pruner": "median", "grace_period": 4}, "leaves the pruner nothing to end in 4 epochs"),
        ({"grace_period": 2}, "is for a pruner, and none is chosen"),
    ],
)
def test_a_grace_period_that_nothing_is_there_for_is_refused(ask, fields, says):
    with pytest.raises(UserError, match=says):
        ask("cross_entropy", n_epochs=4, **fields)


def test_a_pruner_that_does_not_exist_is_refused(ask):
    with pytest.raises(UserError, match="Unknown pruner 'medain'"):
        ask("crt", pruner="medain")
