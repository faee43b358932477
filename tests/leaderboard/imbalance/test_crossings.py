"""Planted changes of order and robust ranges, from rows to text."""

from math import nan

import pytest

from lmd_bench.core.schema import TaskSpec
from lmd_bench.leaderboard.imbalance.crossings import crossings, sign_changes
from lmd_bench.leaderboard.imbalance.curves import factor_curves
from lmd_bench.leaderboard.imbalance.robust_range import RobustRange, robust_ranges, within_margin
from lmd_bench.leaderboard.imbalance.text import (
    crossing_frame,
    crossing_text,
    paired,
    range_frame,
    range_text,
)
from lmd_bench.leaderboard.studies.group import group_studies
from lmd_bench.leaderboard.studies.rules import VAL_BALANCED_ACCURACY as RULE
from lmd_bench.leaderboard.tables.text import lay_out
from lmd_bench.stats.intervals import Interval
from lmd_bench.stats.joint import Joint, joint

METRIC = "balanced_accuracy"


def _seeds_alone(first, other) -> Joint:
    return joint([first.scores[seed] - other.scores[seed] for seed in first.scores], None, "")


def _known(se: float, df: float = 1000.0):
    """Return what measures each difference with that standard error."""

    def paired(first, other) -> Joint:
        value = first.spread.mean - other.spread.mean
        interval = Interval(value - 2 * se, value + 2 * se, "")
        return Joint(value, 3, se, df, interval, interval, interval, 0.5)

    return paired


@pytest.fixture
def planted(study):
    """Return curves: crt falls from .80 over .70 to .40, lmd stays at .60, flat is far below."""
    at = {
        10.0: {"crt": [0.79, 0.80, 0.81], "lmd": [0.59, 0.60, 0.61], "flat": [0.2, 0.2, 0.2]},
        100.0: {"crt": [0.69, 0.70, 0.71], "lmd": [0.59, 0.60, 0.61], "flat": [0.2, 0.2, 0.2]},
        1000.0: {"crt": [0.39, 0.40, 0.41], "lmd": [0.5, 0.6, 0.7], "flat": [0.2, 0.2, 0.2]},
    }
    rows = []
    for factor, scores in at.items():
        task = TaskSpec("toy", imbalance_factor=factor, image_size=32)
        counts = [int(factor), 10, 5, 1]
        for name, values in scores.items():
            rows += [
                row | {"class_counts": counts} for row in study(name, [0.3], {0: values}, task=task)
            ]
    return factor_curves(group_studies(rows), RULE, METRIC, None)


@pytest.fixture
def searched(study):
    """Return a maker of curves from method -> factor -> test scores of each of its searches."""

    def make(scores, repeat_of):
        rows = []
        for method, at in scores.items():
            for factor, searches in at.items():
                task = TaskSpec("toy", imbalance_factor=factor, image_size=32)
                for number, values in enumerate(searches):
                    place = {"study": f"if{factor:g}/{method}/{number}", "class_counts": [9, 2, 1]}
                    place |= {"repeat_of": repeat_of(method, number)}
                    for row in study(method, [0.3], {0: values}, task=task):
                        # Retraining seeds are of their search.
                        rows.append(row | place | {"seed": 10 * number + row["seed"]})
        return factor_curves(group_studies(rows), RULE, METRIC, None)

    return make


SEVERAL = {
    "crt": {10.0: [[0.7, 0.7], [0.9, 0.9]], 100.0: [[0.2, 0.4]]},
    "lmd": {10.0: [[0.5, 0.5], [0.6, 0.6]], 100.0: [[0.5, 0.5]]},
}


def test_searches_of_one_method_are_one_curve_and_change_their_order_as_one(searched) -> None:
    curves = searched(SEVERAL, lambda method, number: method)
    (family,) = curves.values()

    assert {label: len(curve) for label, curve in family.items()} == {"crt": 2, "lmd": 2}
    assert [point.spread.mean for point in family["crt"]] == pytest.approx([0.8, 0.3])
    (found,) = crossings(curves, 1, paired(None, RULE, METRIC))
    assert (found.first, found.other) == ("crt", "lmd")
    assert found.below.value == pytest.approx(0.8 - 0.55)
    # of two searches, .2 and .3 apart, and not of four retrainings
    assert found.below.joint.n_seeds == 2
    assert found.below.joint.seeds.high == pytest.approx(0.25 + 12.706 * 0.05, abs=1e-3)
    ranges = robust_ranges(curves, 1, paired(None, RULE, METRIC), 0.02)
    assert [robust.label for robust in ranges] == ["crt", "lmd"]


def test_searches_of_two_kinds_are_two_curves_over_all_factors(searched) -> None:
    scores = {"crt": {10.0: [[0.7], [0.9]], 100.0: [[0.2], [0.4]]}}
    (family,) = searched(scores, lambda method, number: f"kind {number}").values()

    assert list(family) == ["crt [if10/crt/0]", "crt [if10/crt/1]"]
    assert [[p.spread.mean for p in curve] for curve in family.values()] == [[0.7, 0.2], [0.9, 0.4]]


def test_what_one_search_and_several_show_is_said(searched) -> None:
    changes = crossings(searched(SEVERAL, lambda method, number: method), 1, _known(0.01))
    text = crossing_text(changes, METRIC, several=True)[0]
    assert "images and retrainings (searches, where repeated) together" in text
    assert "without the spread over searches that were not repeated, splits and" in text
    assert "One split;" in range_text([], METRIC, several=True)[0]
    assert "One search, one split;" in range_text([], METRIC)[0]


def test_a_sign_change_is_interpolated_in_the_logarithm_of_the_factor() -> None:
    # 0.1 at 100 and -0.1 at 10,000: half-way in the logarithm, 1,000
    assert list(sign_changes([100.0, 10_000.0], [0.1, -0.1])) == [(0, 1, pytest.approx(1000))]
    # a quarter of the way from 10 to 100,000 is 100
    assert list(sign_changes([10.0, 100_000.0], [0.1, -0.3])) == [(0, 1, pytest.approx(100))]


def test_a_difference_of_zero_has_no_side() -> None:
    assert list(sign_changes([1.0, 10.0, 100.0], [0.1, 0.0, -0.1])) == [(0, 2, pytest.approx(10))]
    assert list(sign_changes([1.0, 10.0, 100.0], [0.1, 0.0, 0.1])) == []
    assert list(sign_changes([1.0, 10.0], [0.0, 0.0])) == []


def test_a_factor_without_a_score_is_passed_over() -> None:
    assert list(sign_changes([1.0, 10.0, 100.0], [1.0, nan, -1.0])) == [(0, 2, pytest.approx(10))]


def test_a_planted_change_of_order_is_found_where_it_is(planted) -> None:
    (found,) = crossings(planted, 1, _seeds_alone)

    assert (found.first, found.other) == ("crt", "lmd")
    assert (found.below.factor, found.above.factor) == (100, 1000)
    assert found.at == pytest.approx(100 * 10 ** (0.1 / 0.3))  # +.1 to -.2
    assert found.below.value == pytest.approx(0.1)
    assert found.above.value == pytest.approx(-0.2)
    # paired on seeds: above -.11, -.2, -.29: half a width of 4.303 x .09 / sqrt(3)
    assert found.above.joint.seeds.high == pytest.approx(-0.2 + 4.3027 * 0.09 / 3**0.5, abs=1e-4)
    assert found.verdict == "not known"  # seeds alone are no verdict


@pytest.mark.parametrize(("se", "verdict"), [(0.04, "beyond"), (0.06, "within")])
def test_a_change_is_beyond_if_both_sides_are_beyond_images_and_retrainings(
    planted, se: float, verdict: str
) -> None:
    """+.1 below and -.2 above: with an SE of .06, +.1 is not beyond."""
    (found,) = crossings(planted, 1, _known(se))

    assert found.verdict == verdict


def test_a_metric_that_is_better_when_lower_turns_the_order_round(planted) -> None:
    (found,) = crossings(planted, -1, _seeds_alone)

    assert (found.first, found.other) == ("lmd", "crt")
    assert found.below.value == pytest.approx(0.1)


def test_crossings_are_a_table_and_a_text(planted) -> None:
    found = crossings(planted, 1, _known(0.04))
    frame = crossing_frame(found, METRIC)

    assert frame.loc[0, "verdict"] == "beyond"
    assert frame.loc[0, "below_images_low"] == pytest.approx(0.02)
    assert frame.loc[0, "above_difference"] == pytest.approx(-0.2)
    text = "\n".join(lay_out(crossing_text(found, METRIC), 400))
    assert "between factors: 1 beyond." in text
    assert "IF 100: +10.0 [+2.0, +18.0]" in text
    within = "\n".join(lay_out(crossing_text(crossings(planted, 1, _known(0.06)), METRIC), 400))
    assert "between factors: 1 within." in within
    assert "IF 100" not in within  # what is within is counted, and not listed
    assert "No two methods" in crossing_text([], METRIC)[0]
    assert crossing_frame([], METRIC).empty


def test_a_method_is_as_good_where_the_bound_lies_below_the_margin() -> None:
    def short(value: float, se: float) -> Joint:
        nothing = Interval(nan, nan, "")
        return Joint(value, 3, se, 1000.0, nothing, nothing, nothing, 0.5)

    assert within_margin(short(0.05, 0.02), 0.10) is True  # .05 + 1.65 x .02 = .083
    assert within_margin(short(0.05, 0.04), 0.10) is None  # noise makes no method robust
    assert within_margin(short(0.20, 0.04), 0.10) is False
    assert within_margin(short(0.05, nan), 0.10) is None


def test_a_planted_robust_range(planted) -> None:
    by_label = {one.label: one for one in robust_ranges(planted, 1, _known(0.01), 0.15)}

    assert by_label["crt"].ranges == (("IF 10", "IF 100"),)  # .2 below the best at 1000
    assert by_label["lmd"].ranges == (("IF 100", "IF 1000"),)  # .2 below at 10, .1 at 100
    assert by_label["flat"].ranges == ()
    assert by_label["crt"].shortfall == pytest.approx((0, 0, 0.2))
    assert by_label["lmd"].upper[1] == pytest.approx(0.1 + 1.646 * 0.01, abs=1e-4)
    assert [one.label for one in robust_ranges(planted, 1, _known(0.01), 0.15)] == [
        "crt",
        "lmd",
        "flat",
    ]


def test_of_a_metric_that_is_better_when_lower_the_least_is_best(planted) -> None:
    by_label = {one.label: one for one in robust_ranges(planted, -1, _known(0.01), 0.15)}

    assert by_label["flat"].n_within == 3
    assert by_label["crt"].shortfall[0] == pytest.approx(0.6)


def test_without_predictions_only_the_best_is_known_to_be_as_good(planted) -> None:
    by_label = {one.label: one for one in robust_ranges(planted, 1, _seeds_alone, 0.15)}

    assert by_label["crt"].within == (True, True, None)


def test_a_broken_range_is_two() -> None:
    names = ("1", "2", "3", "4", "5")
    within = (True, True, None, False, True)
    one = RobustRange("f", "crt", names, (0.0,) * 5, (0.1,) * 5, within)

    assert one.ranges == (("1", "2"), ("5", "5"))
    assert one.n_within == 3
    text = lay_out(range_text([one], METRIC), 400)
    assert text[-1].split() == ["crt", "3", "of", "5", "1", "to", "2,", "5", "3"]
    assert range_frame([one], METRIC)["within"].tolist() == list(within)
