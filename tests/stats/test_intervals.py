"""Intervals against scipy, and their coverage over simulated leaderboards."""

import numpy as np
import pytest
from scipy.stats import t

from lmd_bench.stats.intervals import (
    image_interval,
    over_images,
    percentile_interval,
    seed_interval,
)

RNG = np.random.default_rng


def test_the_interval_over_seeds_is_scipys() -> None:
    values = [0.61, 0.64, 0.60]

    found = seed_interval(values)

    sem = np.std(values, ddof=1) / 3**0.5
    assert (found.low, found.high) == pytest.approx(t.interval(0.95, 2, np.mean(values), sem))
    assert found.over == "3 retraining seeds, same test images"


def test_one_seed_has_no_interval() -> None:
    assert np.isnan(seed_interval([0.6]).low)


def test_percentiles_leave_equal_parts_on_either_side() -> None:
    found = percentile_interval(np.arange(101) / 100, "anything", level=0.9)

    assert (found.low, found.high) == pytest.approx((0.05, 0.95))


def test_an_interval_says_whether_lesions_were_known() -> None:
    assert "as if each were of its own lesion" in over_images(None)
    assert over_images(np.array([0])).startswith("test lesions")


def test_the_interval_over_seeds_covers_the_mean_of_all_retrainings() -> None:
    generator = RNG(0)
    held = 0
    for _ in range(1000):
        found = seed_interval(generator.normal(0.6, 0.02, 5).tolist())
        held += found.low <= 0.6 <= found.high

    assert 0.93 <= held / 1000 <= 0.97


@pytest.mark.slow  # its fast form is in test_simulations.py
def test_the_interval_over_images_covers_the_true_balanced_accuracy() -> None:
    """1,000 test sets of 8 classes with 30 images each; recall .3 to .9."""
    recall = np.linspace(0.3, 0.9, 8)
    labels = np.repeat(np.arange(8), 30)
    generator = RNG(0)
    held = 0
    for _ in range(1000):
        right = (generator.uniform(size=(240, 1)) < recall[labels][:, None]).astype(float)
        found = image_interval(labels, right, 8, generator, n_resamples=500)
        held += found.low <= recall.mean() <= found.high

    assert 0.93 <= held / 1000 <= 0.97


@pytest.mark.slow  # its fast form is in test_simulations.py
def test_the_interval_over_lesions_covers_where_the_one_over_images_does_not() -> None:
    """1,000 test sets of 4 classes with 40 lesions of 4 images, which are right or wrong as one."""
    labels = np.repeat(np.arange(4), 160)
    clusters = np.repeat(np.arange(160), 4)
    generator = RNG(1)
    held = {True: 0, False: 0}
    for _ in range(1000):
        right = np.repeat(generator.uniform(size=160) < 0.6, 4).astype(float)[:, None]
        for known in held:
            found = image_interval(labels, right, 4, generator, clusters if known else None, 500)
            held[known] += found.low <= 0.6 <= found.high

    assert 0.93 <= held[True] / 1000 <= 0.97
    assert held[False] / 1000 < 0.80
