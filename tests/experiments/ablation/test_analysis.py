"""Contrasts with their intervals, on scores made by hand."""

import numpy as np
import pytest

from lmd_bench.experiments.ablation.analysis import analyse
from lmd_bench.experiments.ablation.contrasts import design_sentence, effects, without_shares
from lmd_bench.experiments.ablation.factorial import fraction
from lmd_bench.leaderboard.compare import compare
from lmd_bench.stats.intervals import seed_interval


def planted(name, seed):
    """Return a score: first toggle +.10, second -.04, .02 for both; seeds differ by .01."""
    on = [sign == "b" for sign in name]
    return 0.5 + 0.10 * on[0] - 0.04 * on[1] + 0.02 * (on[0] and on[1]) + 0.01 * seed


def all_scores(record, scores, without=()):
    return {
        c.name: scores(c, [planted(c.name, s) for s in range(3)])
        if c.name not in without
        else scores(c, [], status="missing", cause="not run yet")
        for c in record.cells
    }


def of(found, kind):
    return {
        e.contrast.name: e.estimates["balanced_accuracy"]
        for e in (*found.changes, *found.effects)
        if e.contrast.kind == kind
    }


def test_effects_and_shares_of_two_toggles_can_be_worked_by_hand(record, scores):
    made = record("pq")
    found = analyse(made, made.tasks[0], all_scores(made, scores), n_resamples=10)
    assert of(found, "main")["p"].value == pytest.approx(0.11)  # (.10 + .12) / 2
    assert of(found, "main")["q"].value == pytest.approx(-0.03)
    assert of(found, "interaction")["p x q"].value == pytest.approx(0.01)  # half of .02
    assert of(found, "shapley")["p"].value == pytest.approx(0.11)
    assert of(found, "total")["all"].value == pytest.approx(0.08)
    assert of(found, "change")["ab"].value == pytest.approx(-0.12)
    low, high = of(found, "main")["p"].seeds.low, of(found, "main")["p"].seeds.high
    assert (low, high) == pytest.approx((0.11, 0.11))  # the seeds' own shift cancels in pairs


def test_effects_are_undefined_with_a_cell_missing_but_changes_stay(record, scores):
    made = record("pq")
    found = analyse(made, made.tasks[0], all_scores(made, scores, {"ab"}), n_resamples=10)
    assert all(np.isnan(e.value) for kind in ("main", "shapley") for e in of(found, kind).values())
    assert {e.reason for e in found.effects if e.contrast.kind == "main"} == {
        "no result of ab (missing)"
    }
    assert of(found, "change")["ba"].value == pytest.approx(0.02)
    assert len(found.cells) == 4


def test_only_seeds_of_both_count(record, scores):
    made = record("p")
    cells = {"b": scores(made.cells[0], [0.6, 0.7]), "a": scores(made.cells[1], [0.5, 0.7, 0.0])}
    change = analyse(made, made.tasks[0], cells, n_resamples=10).changes[0]
    assert change.n_seeds == 2
    estimate = change.estimates["balanced_accuracy"]
    assert estimate.value == pytest.approx(-0.05)
    expected = seed_interval([-0.1, 0.0])
    assert (estimate.seeds.low, estimate.seeds.high) == pytest.approx((expected.low, expected.high))


def test_a_change_has_the_interval_that_a_comparison_of_the_two_gives(record, scores, judged):
    made = record("p")
    one, other = judged("b", (0.9, 0.5)), judged("a", (0.8, 0.3))
    recall = {
        name: [np.mean([c[:50].mean(), c[50:].mean()]) for c in j.right.T]
        for name, j in (("b", one), ("a", other))
    }
    cells = {
        "b": scores(made.cells[0], recall["b"], one),
        "a": scores(made.cells[1], recall["a"], other),
    }
    change = analyse(made, made.tasks[0], cells).changes[0]
    [pair], _ = compare(other, [one], np.random.default_rng(1))
    estimate = change.estimates["balanced_accuracy"]
    assert estimate.value == pytest.approx(pair.balanced_accuracy.value)
    assert estimate.images.low == pytest.approx(pair.balanced_accuracy.interval.low, abs=0.01)
    assert estimate.images.high == pytest.approx(pair.balanced_accuracy.interval.high, abs=0.01)
    assert change.p == pytest.approx(pair.p, abs=0.01)
    few = change.estimates["few_recall"].images
    assert few.low == pytest.approx(pair.groups["few"].interval.low, abs=0.02)
    assert np.isnan(change.estimates["macro_f1"].images.low)


def test_a_fraction_lists_what_it_cannot_tell_apart(record):
    made = record("pqrs", fraction(4, 4))
    found = {c.name: c for c in effects(made)}
    assert [c.kind for c in found.values()] == ["main"] * 4 + ["interaction"] * 3
    assert found["p x q"].aliases == ("R × S",)
    assert found["p"].aliases == ()
    assert "resolution IV; generators s = p × q × r." in design_sentence(made)
    assert "need the full factorial" in without_shares(made)


def test_main_effects_of_resolution_three_name_the_interactions_they_hold(record):
    made = record("pqr", fraction(3, 3))
    found = {c.name: c for c in effects(made)}
    assert set(found) == {"p", "q", "r"}
    assert found["r"].aliases == ("P × Q",)
