"""Intervals against scipy, and their coverage over simulated leaderboards."""

import numpy as np
import pytest
from scipy.stats import t

from lmd_bench.stats.intervals import over_images, seed_interval

RNG = np.random.default_rng


def test_the_interval_over_seeds_is_scipys() -> None:
    values = [0.61, 0.64, 0.60]

    found = seed_interval(values)

    sem = np.std(values, ddof=1) / 3**0.5
    assert (found.low, found.high) == pytest.approx(t.interval(0.95, 2, np.mean(values), sem))
    assert found.over == "3 retraining seeds, same test images"


def test_one_seed_has_no_interval() -> None:
    assert np.isnan(seed_interval([0.6]).low)


def test_equal_scores_are_no_interval_of_width_zero() -> None:
    """Scores move in steps of an image: that three are equal is chance, and no certainty."""
    assert np.isnan(seed_interval([4 / 196] * 3).low)


def test_an_interval_says_whether_lesions_were_known() -> None:
    assert "as if each were of its own lesion" in over_images(None)
    assert over_images(np.array([0])) == "test lesions"


def test_the_interval_over_seeds_covers_the_mean_of_all_retrainings() -> None:
    generator = RNG(0)
    held = 0
    for _ in range(1000):
        found = seed_interval(generator.normal(0.6, 0.02, 5).tolist())
        held += found.low <= 0.6 <= found.high

    assert 0.93 <= held / 1000 <= 0.97
