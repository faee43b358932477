"""Paired tests against scipy and by hand, and how often they cry wolf."""

import numpy as np
import pytest
from scipy.stats import binomtest

from lmd_bench.stats.paired import combined_p, holm, mcnemar

RNG = np.random.default_rng


def test_mcnemar_is_the_binomial_test_of_the_discordant_images() -> None:
    generator = RNG(0)
    for _ in range(20):
        a, b = generator.uniform(size=(2, 60)) < np.array([[0.7], [0.5]])
        found = mcnemar(a, b)

        assert (found.only_a, found.only_b) == ((a & ~b).sum(), (b & ~a).sum())
        expected = binomtest(found.only_a, found.only_a + found.only_b).pvalue
        assert found.p == pytest.approx(expected)


def test_models_that_never_differ_have_p_1() -> None:
    right = np.array([True, False])
    assert mcnemar(right, right).p == 1.0


def test_several_seeds_give_a_multiple_of_the_middle_one() -> None:
    assert combined_p([0.03]) == 0.03
    assert combined_p([0.01, 0.5]) == pytest.approx(0.5)  # of two the larger alone is valid
    assert combined_p([0.01, 0.04, 0.5]) == pytest.approx(1.5 * 0.04)
    assert combined_p([0.5, 0.01, 0.04, 0.03]) == pytest.approx(4 / 3 * 0.04)
    assert combined_p([0.7, 0.8, 0.9]) == 1.0


def test_holm_by_hand() -> None:
    # rising: .01 * 4, .02 * 3, .03 * 2 is no less than .06, .5
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_a_test_that_was_not_possible_counts_as_none() -> None:
    found = holm([0.02, float("nan"), 0.03])

    assert found[0] == pytest.approx(0.04)
    assert np.isnan(found[1])
    assert found[2] == pytest.approx(0.04)


def _equal_pair(generator: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    """Two models of equal recall in each class that agree on half of the images."""
    p = np.linspace(0.4, 0.9, 8)[labels]
    shared, own = generator.uniform(size=(len(labels), 1)), generator.uniform(size=(len(labels), 2))
    agrees = generator.uniform(size=(len(labels), 1)) < 0.5
    return np.where(agrees, shared, own) < p[:, None]


def test_equal_models_differ_by_mcnemar_at_most_5_times_in_100() -> None:
    labels, generator = np.repeat(np.arange(8), 40), RNG(0)
    pairs = [_equal_pair(generator, labels) for _ in range(2000)]

    found = np.mean([mcnemar(pair[:, 0], pair[:, 1]).p <= 0.05 for pair in pairs])

    assert found <= 0.06  # 5 % and two standard errors; the exact test is below it


def test_holm_finds_any_difference_among_equal_methods_at_most_5_times_in_100() -> None:
    """5 methods against a first one of the same accuracy, on the same 320 images, 1,000 times."""
    generator = RNG(2)
    any_found = 0
    for _ in range(1000):
        right = generator.uniform(size=(320, 6)) < 0.6
        p_values = [mcnemar(right[:, 0], right[:, other]).p for other in range(1, 6)]
        any_found += min(holm(p_values)) <= 0.05

    assert any_found / 1000 <= 0.064


def test_seeds_combined_stay_below_5_in_100() -> None:
    """3 seeds judged on the same images; seeds of one model agree on most images."""
    generator = RNG(3)
    found = 0
    for _ in range(1000):
        base = generator.uniform(size=(300, 2)) < 0.6
        flips = generator.uniform(size=(3, 300, 2)) < 0.1
        p_values = [mcnemar(*(base ^ flip).T).p for flip in flips]
        found += combined_p(p_values) <= 0.05

    assert found / 1000 <= 0.064
