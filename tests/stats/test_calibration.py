"""Calibration slope and intercept: planted miscalibration, another library's fit, coverage."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from lmd_bench.stats.calibration import (
    calibration_intercept,
    calibration_slope,
    is_separated,
    log_odds,
)
from lmd_bench.stats.influence import recall_influence

RNG = np.random.default_rng
EQUAL = np.array([0.5, 0.5])


def two_classes(n: int, seed: int, spread: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and logits that are calibrated where both classes are as frequent as drawn."""
    odds = RNG(seed).normal(0, spread, n)
    labels = (RNG(seed + 1).uniform(size=n) < expit(odds)).astype(np.int64)
    return labels, np.column_stack([np.zeros(n), odds])


def frequencies(labels: np.ndarray) -> np.ndarray:
    return np.bincount(labels) / len(labels)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_logits_that_are_twice_too_large_have_a_slope_of_one_half(temperature: float) -> None:
    labels, logits = two_classes(40_000, 0)

    for index in range(2):
        of_class = (labels, temperature * logits, frequencies(labels), index)
        assert calibration_slope(*of_class).value == pytest.approx(1 / temperature, rel=0.03)
        assert calibration_intercept(*of_class).value == pytest.approx(0, abs=0.03)


def test_a_class_that_is_given_too_little_has_an_intercept_above_0() -> None:
    labels, logits = two_classes(40_000, 0)
    moved = logits - np.array([0.0, 0.7])

    intercept = calibration_intercept(labels, moved, frequencies(labels), 1)
    assert intercept.value == pytest.approx(0.7, abs=0.03)
    assert calibration_slope(labels, moved, frequencies(labels), 1).value == pytest.approx(
        1, rel=0.03
    )


def test_the_slope_is_that_of_an_unpenalised_logistic_regression() -> None:
    labels = RNG(0).integers(0, 4, 300)
    logits = RNG(1).normal(size=(300, 4)) + 1.3 * np.eye(4)[labels]
    prevalence = np.array([0.7, 0.2, 0.07, 0.03])

    weights = (prevalence / np.bincount(labels))[labels]
    for index in range(4):
        x = log_odds(logits, index)[:, None]
        fit = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
        fit.fit(x, labels == index, sample_weight=weights / weights.mean())
        slope = calibration_slope(labels, logits, prevalence, index).value
        assert slope == pytest.approx(float(fit.coef_[0, 0]), rel=1e-4)


def test_log_odds_are_those_of_the_probability() -> None:
    logits = np.array([[2.0, 0.0, -1.0], [800.0, 0.0, 0.0]])
    p = np.exp(2.0) / (np.exp(2.0) + 1 + np.exp(-1.0))
    assert log_odds(logits, 0) == pytest.approx([np.log(p / (1 - p)), 800 - np.log(2)])


def test_images_of_a_balanced_test_set_are_judged_at_the_prevalence() -> None:
    """Logits that are right where one class in ten is ill are wrong where every second one is."""
    odds = RNG(0).normal(-2.5, 1.5, 200_000)
    labels = (RNG(1).uniform(size=len(odds)) < expit(odds)).astype(np.int64)
    rare = frequencies(labels)
    ill, well = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)[: (labels == 1).sum()]
    kept = np.concatenate([ill, well])
    cut = labels[kept], np.column_stack([np.zeros(len(kept)), odds[kept]])

    assert calibration_intercept(*cut, rare, 1).value == pytest.approx(0, abs=0.03)
    assert calibration_slope(*cut, rare, 1).value == pytest.approx(1, rel=0.03)
    of_equal = np.log(rare[0] / rare[1])  # by as much the odds of the cut set are higher
    assert calibration_intercept(*cut, EQUAL, 1).value == pytest.approx(of_equal, abs=0.05)


def test_a_class_that_is_separated_has_no_slope_but_an_intercept() -> None:
    labels = np.repeat([0, 1], 10)
    logits = np.column_stack([np.zeros(20), np.where(labels == 1, 2.0, -1.0)])

    assert is_separated(labels, logits, 1)
    assert np.isnan(calibration_slope(labels, logits, EQUAL, 1).value)
    assert np.isfinite(calibration_intercept(labels, logits, EQUAL, 1).value)
    logits[0, 1] = 3.0  # one image of the other class lies above
    assert not is_separated(labels, logits, 1)
    assert np.isfinite(calibration_slope(labels, logits, EQUAL, 1).value)


def test_a_class_without_images_or_prevalence_has_neither() -> None:
    labels, logits = np.array([0, 0, 1, 1]), RNG(0).normal(size=(4, 3))
    shares = np.array([0.5, 0.5, 0.0])
    for index, of in ((2, shares), (1, np.array([1.0, 0.0, 0.0]))):
        assert np.isnan(calibration_slope(labels, logits, of, index).value)
        assert np.isnan(calibration_intercept(labels, logits, of, index).value)


def covered(n_simulations: int, n: int = 120) -> tuple[float, float]:
    """Return how often 95 % intervals over images in lesions of two hold 1 / T and 0."""
    hits: list[tuple[bool, bool]] = []
    for number in range(n_simulations):
        rng = RNG(number)
        lesions = np.arange(n) // 2
        odds = rng.normal(0, 1.2, n // 2)[lesions] + rng.normal(0, 0.5, n)
        labels = (rng.uniform(size=n) < expit(odds)).astype(np.int64)
        logits = np.column_stack([np.zeros(n), 2 * odds])
        inside: list[bool] = []
        for fit, truth in ((calibration_slope, 0.5), (calibration_intercept, 0.0)):
            found = fit(labels, logits, EQUAL, 1)
            influence = recall_influence(labels, found.moved[:, None], EQUAL, lesions)
            half = 2 * float(np.sqrt(influence.variance()[0]))
            inside.append(abs(found.value - truth) <= half)
        hits.append((inside[0], inside[1]))
    slope, intercept = np.mean(hits, axis=0)
    return float(slope), float(intercept)


def test_intervals_over_images_hold_slope_and_intercept() -> None:
    slope, intercept = covered(100)
    assert 0.90 <= slope <= 0.99
    assert 0.90 <= intercept <= 0.99
