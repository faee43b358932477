"""Proper scores, calibration error and temperature, by hand and against simulation."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

from lmd_bench.stats.probabilities import (
    best_temperature,
    brier_score,
    calibration_error_by_chance,
    classwise_calibration_error,
    classwise_error_by_chance,
    expected_calibration_error,
    log_probabilities,
    negative_log_likelihood,
)

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(500, 4)) * 2
P = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
LABELS = np.array([RNG.choice(4, p=row) for row in P])  # drawn from the probabilities


def test_the_likelihood_is_that_of_scikit_learn():
    assert negative_log_likelihood(LABELS, LOGITS) == pytest.approx(log_loss(LABELS, P))


def test_log_probabilities_of_huge_logits_stay_finite():
    assert np.isfinite(log_probabilities(np.array([[1e4, 0.0], [-1e4, 0.0]]))).all()


def test_the_brier_score_by_hand():
    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.5, 0.25, 0.25]]))
    expected = ((0.3**2 + 0.2**2 + 0.1**2) + (0.5**2 + 0.75**2 + 0.25**2)) / 2
    assert brier_score(np.array([0, 1]), logits) == pytest.approx(expected)


def test_the_calibration_error_by_hand():
    # confidences .9 (right) and .9 (wrong) share a bin: |1.8 - 1|; .6 (right) has its own: .4
    logits = np.log(np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]]))
    found = expected_calibration_error(np.array([0, 1, 1]), logits)
    assert found == pytest.approx((0.8 + 0.4) / 3)


def test_the_classwise_calibration_error_by_hand():
    # class 0: bin of .9 holds labels 0 and 1: |1.8 - 1|, bin of .4: |.4 - 0|; class 1 mirrors it
    logits = np.log(np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]]))
    found = classwise_calibration_error(np.array([0, 1, 1]), logits)
    assert found == pytest.approx(((0.8 + 0.4) / 3 + (0.8 + 0.4) / 3) / 2)


def test_the_classwise_calibration_error_is_that_of_scikit_learns_curves():
    expected = []
    for index in range(4):
        shares, means = calibration_curve(index == LABELS, P[:, index], n_bins=15)
        n_images = np.histogram(P[:, index], bins=np.linspace(0, 1, 16))[0]
        gaps = np.abs(shares - means) * n_images[n_images > 0] / len(P)
        expected.append(gaps.sum())
    assert classwise_calibration_error(LABELS, LOGITS) == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("factor", [0.2, 1.0, 5.0])
def test_the_temperature_of_stretched_logits_is_the_stretch(factor: float):
    plain = best_temperature(LABELS, LOGITS)
    assert plain == pytest.approx(1.0, abs=0.15)  # labels are drawn from these probabilities
    assert best_temperature(LABELS, LOGITS * factor) == pytest.approx(plain * factor, rel=1e-6)


def test_the_best_temperature_has_the_least_loss():
    best = best_temperature(LABELS, 3 * LOGITS)
    losses = [negative_log_likelihood(LABELS, 3 * LOGITS / (best * t)) for t in (0.95, 1.0, 1.05)]
    assert losses[1] == min(losses)


def test_a_temperature_without_a_best_value_stays_within_its_bounds():
    labels = LOGITS.argmax(axis=1)  # never wrong: the colder the better
    assert best_temperature(labels, LOGITS) == pytest.approx(0.01, rel=1e-6)
    assert best_temperature(labels, -LOGITS) == pytest.approx(100.0, rel=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_error_by_chance_is_what_perfectly_calibrated_images_have_on_average(
    weighted: bool,
) -> None:
    generator = np.random.default_rng(0)
    logits = 2.0 * generator.normal(size=(196, 4))
    p = np.exp(log_probabilities(logits))
    weights = generator.uniform(0.5, 2.0, size=196) if weighted else None
    top, of_classes = [], []
    for _ in range(300):
        labels = (generator.random((196, 1)) > np.cumsum(p, axis=1)[:, :-1]).sum(axis=1)
        top.append(expected_calibration_error(labels, logits, weights))
        of_classes.append(classwise_calibration_error(labels, logits, weights))

    assert np.mean(top) > 0.03  # far from 0 though nothing is wrong
    by_chance = calibration_error_by_chance(labels, logits, weights)
    assert by_chance == pytest.approx(np.mean(top), rel=0.06)
    of_class = classwise_error_by_chance(labels, logits, weights)
    assert of_class == pytest.approx(np.mean(of_classes), rel=0.06)
