"""Contrasts with their intervals, on scores made by hand."""

import numpy as np
import pytest

from lmd_bench.experiments.ablation.analysis import analyse, corrected
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
    found = analyse(made, made.tasks[0], all_scores(made, scores))
    assert of(found, "main")["p"].value == pytest.approx(0.11)  # (.10 + .12) / 2
    assert of(found, "main")["q"].value == pytest.approx(-0.03)
    assert of(found, "interaction")["p x q"].value == pytest.approx(0.01)  # half of .02
    assert of(found, "shapley")["p"].value == pytest.approx(0.11)
    assert of(found, "total")["all"].value == pytest.approx(0.08)
    assert of(found, "change")["ab"].value == pytest.approx(-0.12)
    # the seeds' own shift cancels in pairs: what is left is equal, and tells no spread
    assert np.isnan(of(found, "main")["p"].seeds.low)


def test_effects_are_undefined_with_a_cell_missing_but_changes_stay(record, scores):
    made = record("pq")
    found = analyse(made, made.tasks[0], all_scores(made, scores, {"ab"}))
    assert all(np.isnan(e.value) for kind in ("main", "shapley") for e in of(found, kind).values())
    assert {e.reason for e in found.effects if e.contrast.kind == "main"} == {
        "no result of ab (missing)"
    }
    assert of(found, "change")["ba"].value == pytest.approx(0.02)
    assert len(found.cells) == 4


def test_only_seeds_of_both_count(record, scores):
    made = record("p")
    cells = {"b": scores(made.cells[0], [0.6, 0.7]), "a": scores(made.cells[1], [0.5, 0.7, 0.0])}
    change = analyse(made, made.tasks[0], cells).changes[0]
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
    [pair], _ = compare(other, [one])
    for score, known in pair.differences.items():
        assert str(change.estimates[score]) == str(known)  # NaN too
    assert change.primary.interval.low < change.primary.value < change.primary.interval.high
    assert np.isnan(change.estimates["macro_f1"].interval.low)  # it takes logits


def test_holm_is_over_the_changes_of_all_tasks_that_are_shown(record, scores, judged):
    made = record("p")
    pairs = [(judged("b", (0.9, 0.5)), judged("a", (rate, 0.3))) for rate in (0.8, 0.5)]
    tasks = [
        analyse(
            made,
            made.tasks[0],
            {
                "b": scores(made.cells[0], [0.7, 0.7], one),
                "a": scores(made.cells[1], [0.6, 0.6], other),
            },
        )
        for one, other in pairs
    ]
    found = corrected(tasks)
    p_values = [task.changes[0].primary.p for task in found]
    assert [task.n_tests for task in found] == [2, 2]
    assert min(task.changes[0].p_holm for task in found) == pytest.approx(2 * min(p_values))


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
