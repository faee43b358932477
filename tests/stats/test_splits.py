"""A mean over splits by hand, and what it says where a spread is not known."""

from math import inf, isnan, nan, sqrt

import numpy as np
import pytest
from scipy.stats import t as student

from lmd_bench.stats.intervals import Interval
from lmd_bench.stats.joint import Joint
from lmd_bench.stats.splits import over_splits, shared_images

UNKNOWN = Interval(nan, nan, "")


def on_split(value: float, images_se: float) -> Joint:
    return Joint(value, 3, nan, inf, UNKNOWN, UNKNOWN, UNKNOWN, nan, images_se)


def test_the_variance_is_that_over_splits_and_that_of_shared_images() -> None:
    joint = over_splits([on_split(v, 0.03) for v in (0.5, 0.6, 0.7)], shared=0.2)

    of_splits, of_images = 0.01 / 3, 0.2 * 0.03**2
    assert joint.value == pytest.approx(0.6)
    assert joint.se == pytest.approx(sqrt(of_splits + of_images))
    assert joint.df == pytest.approx(2 * ((of_splits + of_images) / of_splits) ** 2)
    half = student.ppf(0.975, joint.df) * joint.se
    assert (joint.interval.low, joint.interval.high) == pytest.approx((0.6 - half, 0.6 + half))
    assert joint.p == pytest.approx(2 * student.sf(0.6 / joint.se, joint.df))
    alone = student.ppf(0.975, 2) * sqrt(of_splits)
    assert (joint.seeds.low, joint.seeds.high) == pytest.approx((0.6 - alone, 0.6 + alone))
    assert joint.interval.over == "test lesions and 3 splits, each with its searches and runs"
    assert joint.seeds.over == "3 splits as if they shared no test image"
    assert np.isnan([joint.images.low, joint.images.high]).all()


@pytest.mark.parametrize(
    ("splits", "shared"),
    [
        ([on_split(0.5, nan), on_split(0.6, nan)], 0.5),  # no logits
        ([on_split(0.5, 0.1), on_split(0.6, 0.1)], nan),  # images unknown
        ([on_split(0.5, 0.1)], 0.5),  # one split says nothing of splits
        ([on_split(0.5, 0.0), on_split(0.5, 0.0)], 0.5),  # nothing varies
    ],
)
def test_where_a_spread_is_unknown_there_is_a_mean_and_no_interval(splits, shared) -> None:
    joint = over_splits(splits, shared)

    assert joint.value == pytest.approx(np.mean([one.value for one in splits]))
    assert joint.n_seeds == len(splits)
    for number in (joint.se, joint.df, joint.p, joint.interval.low, joint.interval.high):
        assert isnan(number)


def test_equal_scores_leave_the_images_alone() -> None:
    joint = over_splits([on_split(0.5, 0.1), on_split(0.5, 0.1)], shared=0.25)
    assert joint.se == pytest.approx(0.05)
    assert joint.df == 1e6


def test_images_in_two_test_sets_are_counted_class_by_class() -> None:
    one = (["a", "b", "c", "d"], np.array([0, 0, 1, 1]))
    other = (["a", "e", "c", "d"], np.array([0, 0, 1, 1]))
    # Half of the first class and all of the second; both weigh the same, as both have two images.
    assert shared_images([one, other], 3) == pytest.approx(0.75)
    assert shared_images([one, (["x"], np.array([0]))], 2) == 0.0
    assert isnan(shared_images([one], 2))
