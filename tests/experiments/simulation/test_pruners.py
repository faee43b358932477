"""A late bloomer, which a pruner must kill if deferral is ignored, and must not if respected."""

import pytest

from lmd_bench.experiments.simulation.pruners import pruner_frame, top_trials


def late_bloomer(table):
    """Return nine early trials, and one that is the worst up to epoch 8 and the best at the end."""
    early = [[0.30 + 0.01 * n] * 10 for n in range(9)]
    late = [0.1] * 8 + [0.9, 0.9]
    curves = [*early, late]
    return table([max(curve) for curve in curves], curves=curves, deferral=0.8)


@pytest.mark.parametrize("pruner", ["median", "halving"])
def test_a_late_bloomer_dies_only_if_its_deferral_point_is_ignored(table, pruner):
    frame = pruner_frame([late_bloomer(table)], [pruner], 40, 0, ignore_deferral=True)
    respected, ignored = frame.iloc[0], frame.iloc[1]
    assert (respected["deferral_respected"], ignored["deferral_respected"]) == (True, False)
    assert respected["best_ended"] == 0
    assert not respected["flagged"]
    # halving: from the 2nd on; median: once four have ended before it, 5 or 6 of 9 places
    assert ignored["best_ended"] > 0.4
    assert ignored["flagged"]
    assert ignored["top3_ended"] >= ignored["best_ended"]
    assert ignored["hours_saved"] > respected["hours_saved"]


def test_halving_kills_the_late_bloomer_in_every_order(table):
    # the default, which is first, has more at epoch 1; so has whatever else is kept
    frame = pruner_frame([late_bloomer(table)], ["halving"], 40, 0, ignore_deferral=True)
    assert frame["best_ended"].tolist() == [0.0, 1.0]


@pytest.mark.parametrize("pruner", ["median", "halving"])
def test_the_best_is_not_ended_by_what_others_had_before_their_deferral_point(table, pruner):
    curves = [*([[0.55] * 8 + [0.4] * 2] * 9), [0.45] * 8 + [0.5] * 2]
    late = table([curve[-1] for curve in curves], curves=curves, deferral=0.8)
    frame = pruner_frame([late], [pruner], 40, 0, ignore_deferral=True)
    respected, ignored = frame["best_ended"]
    assert respected == 0
    assert ignored > 0.4


def test_deferral_is_not_ignored_where_there_is_none(table):
    curves = [[0.1 * n] * 10 for n in range(8)]
    flat = table([curve[-1] for curve in curves], curves=curves)
    frame = pruner_frame([flat], ["none", "median"], 20, 0, ignore_deferral=True)
    assert frame["pruner"].tolist() == ["median"]
    # the worst are ended, the best never: nothing is above it
    assert frame["best_ended"].tolist() == [0.0]
    assert frame["ended"].iloc[0] > 0


def test_of_equals_the_earlier_trial_is_the_best(table):
    assert [t.number for t in top_trials(table([0.1, 0.5, None, 0.5, 0.3]))] == [1, 3, 4]
    assert [t.number for t in top_trials(table([0.1, None]))] == [0]
