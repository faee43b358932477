"""Planted changes of order and robust ranges, from rows to text."""

from math import isnan, nan

import numpy as np
import pytest

from lmd_bench.core.schema import TaskSpec
from lmd_bench.leaderboard.imbalance.crossings import Gap, crossings, sign_changes
from lmd_bench.leaderboard.imbalance.curves import factor_curves
from lmd_bench.leaderboard.imbalance.robust_range import RobustRange, robust_ranges, within_spread
from lmd_bench.leaderboard.imbalance.text import (
    crossing_frame,
    crossing_text,
    range_frame,
    range_text,
)
from lmd_bench.leaderboard.studies.group import group_studies
from lmd_bench.leaderboard.studies.rules import VAL_BALANCED_ACCURACY as RULE
from lmd_bench.leaderboard.tables.text import lay_out
from lmd_bench.stats.intervals import Interval

METRIC = "balanced_accuracy"


def _no_images(first, other) -> None:
    return None


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
    (found,) = crossings(planted, 1, _no_images)

    assert (found.first, found.other) == ("crt", "lmd")
    assert (found.below.factor, found.above.factor) == (100, 1000)
    assert found.at == pytest.approx(100 * 10 ** (0.1 / 0.3))  # +.1 to -.2
    assert found.below.value == pytest.approx(0.1)
    assert found.above.value == pytest.approx(-0.2)
    # paired on seeds: .1 each below; above -.11, -.2, -.29: half a width of 4.303 x .09 / sqrt(3)
    assert found.below.over_seeds.low == pytest.approx(0.1)
    assert found.above.over_seeds.high == pytest.approx(-0.2 + 4.3027 * 0.09 / 3**0.5, abs=1e-4)
    assert found.above.verdict == "within"
    assert found.verdict == "within"


def test_a_metric_that_is_better_when_lower_turns_the_order_round(planted) -> None:
    (found,) = crossings(planted, -1, _no_images)

    assert (found.first, found.other) == ("lmd", "crt")
    assert found.below.value == pytest.approx(0.1)


def test_a_difference_is_beyond_only_if_no_known_interval_holds_zero() -> None:
    clear, wide = Interval(0.1, 0.3, ""), Interval(-0.1, 0.5, "")
    unknown = Interval(nan, nan, "")

    assert Gap(10.0, "10", 0.2, clear, clear).verdict == "beyond"
    assert Gap(10.0, "10", 0.2, clear, wide).verdict == "within"
    assert Gap(10.0, "10", 0.2, wide, clear).verdict == "within"
    assert Gap(10.0, "10", 0.2, unknown, clear).verdict == "beyond"
    assert Gap(10.0, "10", 0.2, unknown, None).verdict == "not known"


def test_crossings_are_a_table_and_a_text(planted) -> None:
    found = crossings(planted, 1, _no_images)
    frame = crossing_frame(found, METRIC)

    assert frame.loc[0, "verdict"] == "within"
    assert np.isnan(frame.loc[0, "below_images_low"])
    assert frame.loc[0, "above_difference"] == pytest.approx(-0.2)
    text = "\n".join(lay_out(crossing_text(found, METRIC), 400))
    assert "IF 100: +10.0 [+10.0, +10.0]" in text
    assert "Student's t" in text
    assert "No two methods" in crossing_text([], METRIC)[0]
    assert crossing_frame([], METRIC).empty


def test_within_its_own_spread_of_the_best_by_hand() -> None:
    shortfall, within = within_spread([0.8, 0.75, 0.7, nan, 0.79], [0.01, 0.05, 0.02, nan, nan], 1)

    assert shortfall[:3] == pytest.approx([0, 0.05, 0.1])
    assert isnan(shortfall[3])
    assert within[0] is True
    assert within[1] is (shortfall[1] <= 0.05)
    assert within[2:] == [False, None, None]  # not confirmed; one seed has no spread


def test_of_a_metric_that_is_better_when_lower_the_least_is_best() -> None:
    shortfall, within = within_spread([0.5, 0.7], [0.1, 0.3], -1)

    assert shortfall == pytest.approx([0, 0.2])
    assert within == [True, True]


def test_a_planted_robust_range(planted) -> None:
    by_label = {one.label: one for one in robust_ranges(planted, 1)}

    assert by_label["crt"].ranges == (("IF 10", "IF 100"),)
    assert by_label["lmd"].ranges == (("IF 1000", "IF 1000"),)
    assert by_label["flat"].ranges == ()
    assert by_label["crt"].shortfall == pytest.approx((0, 0, 0.2))
    assert [one.label for one in robust_ranges(planted, 1)] == ["crt", "lmd", "flat"]


def test_a_broken_range_is_two() -> None:
    names = ("1", "2", "3", "4", "5")
    within = (True, True, None, False, True)
    one = RobustRange("f", "crt", names, (0.0,) * 5, (0.1,) * 5, within)

    assert one.ranges == (("1", "2"), ("5", "5"))
    assert one.n_within == 3
    text = lay_out(range_text([one], METRIC), 400)
    assert text[-1].split() == ["crt", "3", "of", "5", "1", "to", "2,", "5", "3"]
    assert range_frame([one], METRIC)["within"].tolist() == list(within)
