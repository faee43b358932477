"""The interval over images and retrainings together, by hand."""

from dataclasses import replace
from math import isnan, nan, sqrt

import numpy as np
import pytest
from scipy import stats

from lmd_bench.stats.influence import Influence
from lmd_bench.stats.intervals import Interval
from lmd_bench.stats.joint import Joint, joint, within

OVER = "test lesions"


def _influence(*columns: list[float], df: float = 40.0) -> Influence:
    return Influence(np.array(columns).T, df)


def test_both_variances_add_up_and_satterthwaite_counts_the_degrees_of_freedom() -> None:
    """All retrainings move alike with the images, so nothing is counted twice."""
    pull = [0.03, -0.01, 0.02]
    found = joint([0.10, 0.16, 0.13], _influence(pull, pull, pull), OVER)

    images, seeds = 0.0014, 0.0009 / 3
    assert found.value == pytest.approx(0.13)
    assert found.se == pytest.approx(sqrt(images + seeds))
    df = (images + seeds) ** 2 / (images**2 / 40 + seeds**2 / 2)
    assert found.df == pytest.approx(df)
    half = stats.t.ppf(0.975, df) * found.se
    assert (found.interval.low, found.interval.high) == pytest.approx((0.13 - half, 0.13 + half))
    assert found.p == pytest.approx(2 * stats.t.sf(0.13 / found.se, df))
    assert found.interval.over == "test lesions and 3 retraining seeds"
    assert found.images.over == "test lesions, same trained models"


def test_what_images_and_retrainings_do_together_counts_once() -> None:
    """Each retraining errs on images of its own: s^2 / S is all of that, and no spread of seeds."""
    found = joint([0.10, 0.14], _influence([0.02, 0.0], [0.0, 0.02]), OVER)

    of_mean, of_one = 2 * 0.01**2, 0.02**2
    assert of_one - of_mean == pytest.approx(0.0002)
    assert found.se == pytest.approx(sqrt(of_mean + 0.0004 - 0.0002))


def test_equal_retrainings_leave_the_spread_over_images() -> None:
    found = joint([4 / 196] * 3, _influence([0.02], [0.02], [0.02]), OVER)

    assert found.se == pytest.approx(0.02)
    assert isnan(found.seeds.low)
    assert found.interval.low < 0 < found.interval.high


def test_where_nothing_varies_there_is_no_interval_of_width_zero() -> None:
    found = joint([0.0, 0.0], _influence([0.0], [0.0]), OVER)

    assert found.value == 0
    assert isnan(found.interval.low)
    assert isnan(found.images.low)
    assert isnan(found.p)


@pytest.mark.parametrize(
    ("by_seed", "influence"), [([0.1], _influence([0.02])), ([0.1, 0.2], None), ([], None)]
)
def test_one_retraining_or_no_predictions_have_no_joint_interval(by_seed, influence) -> None:
    found = joint(by_seed, influence, OVER)

    assert isnan(found.interval.low)
    assert isnan(found.p)
    assert isnan(found.detectable())
    assert isnan(found.images.low) == (influence is None)


@pytest.mark.parametrize("n_tests", [1, 12])
def test_what_is_detected_has_the_power_that_is_said(n_tests: int) -> None:
    found = joint([0.10, 0.16, 0.13], _influence([0.03], [0.03], [0.03]), OVER)

    effect = found.detectable(n_tests)

    bound = stats.t.ppf(1 - 0.05 / (2 * n_tests), found.df)
    assert stats.nct.sf(bound, found.df, effect / found.se) == pytest.approx(0.8, abs=1e-6)
    assert found.detectable(n_tests) > 2.8 * found.se


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "equivalent"),
        (0.018, "not inferior"),
        (-0.018, "not superior"),
        (-0.08, "inferior"),
        (0.08, "not inferior"),
    ],
)
def test_a_margin_is_judged_by_two_one_sided_tests(value: float, expected: str) -> None:
    # 1.645 standard errors are 1.6 points: bounds of 0.018 are [0.2, 3.4] points
    unknown = Interval(nan, nan, "")
    found = Joint(value, 5, 0.01, 1e6, unknown, unknown, unknown, nan)

    assert within(found, 0.02) == expected
    assert within(replace(found, value=value / 4, se=0.05), 0.02) == "not shown"
    assert within(replace(found, se=nan), 0.02) == "not known"
