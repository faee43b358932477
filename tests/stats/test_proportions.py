"""Intervals of proportions against scipy, and how often they hold the truth."""

import numpy as np
import pytest
from scipy.stats import binomtest

from lmd_bench.stats.proportions import clopper_pearson, mean_lower_bound, recall_interval, wilson

CASES = [(0, 1), (1, 1), (0, 20), (7, 20), (20, 20), (3, 400), (399, 400)]
RIGHT, N_IMAGES = (np.array(column) for column in zip(*CASES, strict=True))


@pytest.mark.parametrize("level", [0.9, 0.95])
@pytest.mark.parametrize(("function", "name"), [(wilson, "wilson"), (clopper_pearson, "exact")])
def test_intervals_are_those_of_scipy(function, name, level) -> None:
    low, high = function(RIGHT, N_IMAGES, level)

    for index, (x, n) in enumerate(CASES):
        expected = binomtest(x, n).proportion_ci(level, method=name)
        assert low[index] == pytest.approx(expected.low, abs=1e-12)
        assert high[index] == pytest.approx(expected.high, abs=1e-12)


@pytest.mark.parametrize("function", [wilson, clopper_pearson, recall_interval])
def test_without_images_there_is_no_interval(function) -> None:
    low, high = function(np.array([0]), np.array([0]))

    assert np.isnan(low).all()
    assert np.isnan(high).all()


def test_classes_below_30_images_have_the_exact_interval() -> None:
    right, n_images = np.array([10, 10]), np.array([29, 30])

    low, high = recall_interval(right, n_images)

    assert (low[0], high[0]) == tuple(bound[0] for bound in clopper_pearson(right, n_images))
    assert (low[1], high[1]) == tuple(bound[1] for bound in wilson(right, n_images))


@pytest.mark.parametrize("n", [3, 12, 29])
@pytest.mark.parametrize("p", [0.05, 0.4, 0.9])
def test_the_exact_interval_covers_at_least_as_often_as_it_says(n: int, p: float) -> None:
    right = np.random.default_rng(n).binomial(n, p, 20_000)

    low, high = clopper_pearson(right, np.full(20_000, n))

    assert ((low <= p) & (p <= high)).mean() >= 0.947  # 0.95 less two standard errors


def test_the_interval_of_larger_classes_covers_95_percent_on_average_over_recalls() -> None:
    # at a single p the coverage of any interval of a count jumps; over p it must be right
    generator = np.random.default_rng(0)
    p, n_images = generator.uniform(0.05, 0.95, 20_000), generator.integers(30, 300, 20_000)

    low, high = recall_interval(generator.binomial(n_images, p), n_images)

    assert 0.94 <= ((low <= p) & (p <= high)).mean() <= 0.96


def test_the_lower_bound_of_one_class_is_wilsons_one_sided_one() -> None:
    expected = binomtest(7, 20).proportion_ci(0.9, method="wilson").low

    assert mean_lower_bound(np.array([0.35]), np.array([20])) == pytest.approx(expected)


def test_the_lower_bound_by_hand() -> None:
    # z^2 = 2.7055: 2 of 2 right has the lower bound 2 / (2 + z^2), 0 of 3 has 0
    gap = 1 - 2 / (2 + 2.70554)

    found = mean_lower_bound(np.array([1.0, 0.0, np.nan]), np.array([2, 3, 0]))

    assert found == pytest.approx(0.5 - gap / 2, abs=1e-5)


def test_a_lucky_tail_class_has_a_lower_bound_below_a_sure_one() -> None:
    recall = np.array([0.8, 0.8])

    assert mean_lower_bound(recall, np.array([500, 5])) < mean_lower_bound(
        recall, np.array([500, 500])
    )


@pytest.mark.parametrize("tail", [0.1, 0.5, 0.8])
@pytest.mark.parametrize(
    ("n_images", "least", "most"),
    [((17,) * 6, 0.94, 0.98), ((60, 40, 20, 8, 4, 2), 0.90, 1.0)],  # balanced, and a tiny tail
)
def test_the_lower_bound_lies_below_the_truth_as_often_as_its_docstring_says(
    tail: float, n_images: tuple[int, ...], least: float, most: float
) -> None:
    n, p = np.array(n_images), np.array([0.9, 0.8, 0.7, 0.6, tail, tail])
    right = np.random.default_rng(0).binomial(n, p, (1000, 6))

    below = [mean_lower_bound(row / n, n) <= p.mean() for row in right]

    assert least <= np.mean(below) <= most


def test_the_lower_bound_of_nothing_is_nan() -> None:
    assert np.isnan(mean_lower_bound(np.array([np.nan]), np.array([0])))
