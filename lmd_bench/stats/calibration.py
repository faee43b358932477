"""Calibration slope and intercept of each class against all others.

With l_k = log p_k / (1 - p_k) of an image, images weighted as a prevalence has it:

    slope      b of   logit P(y = k) = a + b l_k      1 is perfect; below, probabilities are too
                                                       extreme; above, too timid
    intercept  a of   logit P(y = k) = a + l_k         0 is perfect; below, the class is given too
                                                       much on average; above, too little

The intercept is that of calibration in the large, with the slope held at 1. Both are unpenalised
logistic regressions, and how each image moves them is the influence function of an M-estimator.

Papers: Cox, Two further applications of a model for binary regression, Biometrika 1958; Van Calster
and others, Calibration: the Achilles heel of predictive analytics, BMC Medicine 2019.
URL: https://doi.org/10.1093/biomet/45.3-4.562, https://doi.org/10.1186/s12916-019-1466-7
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import minimize, root_scalar
from scipy.special import expit, logsumexp

from lmd_bench.stats.deployment import Labels, Logits, Prevalence, prevalence_weights


@dataclass(frozen=True, eq=False)
class Estimate:
    """A slope or an intercept; NaN where there is none."""

    value: float
    # How far each image moves it: its derivative by the share of the image among all.
    moved: Float[np.ndarray, " images"]


def log_odds(logits: Logits, index: int) -> Float[np.ndarray, " images"]:
    """Return log p_k / (1 - p_k) of a class, without ever forming 1 - p_k."""
    z = logits.astype(np.float64)
    return z[:, index] - logsumexp(np.delete(z, index, axis=1), axis=1)


def is_separated(labels: Labels, logits: Logits, index: int) -> bool:
    """Return whether a threshold on its probability parts a class from all others.

    The likelihood then rises with the slope for ever: no slope is finite.
    """
    odds, inside = log_odds(logits, index), labels == index
    own, others = odds[inside], odds[~inside]
    if not len(own) or not len(others):
        return False
    return bool(own.min() >= others.max() or own.max() <= others.min())


def calibration_slope(
    labels: Labels, logits: Logits, prevalence: Prevalence, index: int
) -> Estimate:
    """Return the calibration slope of a class.

    NaN where the class or all others have no image or no prevalence, or where they are separated.

    Args:
        labels: Index of the true class of each image.
        logits: Scores.
        prevalence: It weights the images.
        index: Of the class.
    """
    odds, inside, w = _parts(labels, logits, prevalence, index)
    if w[inside].sum() <= 0 or w[~inside].sum() <= 0 or is_separated(labels, logits, index):
        return Estimate(float("nan"), np.full(len(labels), np.nan))
    # On a scale of its own: log odds of a sure classifier run to hundreds.
    centre, scale = float(np.average(odds, weights=w)), float(odds.std())
    x = np.column_stack([np.ones(len(odds)), (odds - centre) / scale])

    def loss(beta: np.ndarray) -> float:
        # log(1 + e^t) - y t
        t = x @ beta
        return float(w @ (np.logaddexp(0.0, t) - inside * t))

    def gradient(beta: np.ndarray) -> np.ndarray:
        return (w * (expit(x @ beta) - inside)) @ x

    def hessian(beta: np.ndarray) -> np.ndarray:
        p = expit(x @ beta)
        return (x * (w * p * (1 - p))[:, None]).T @ x

    start = np.array([0.0, scale])
    fit = minimize(
        loss, start, jac=gradient, hess=hessian, method="trust-exact", options={"gtol": 1e-9}
    )
    residuals = inside - expit(x @ fit.x)
    moved = residuals[:, None] * x @ np.linalg.inv(hessian(fit.x))
    return Estimate(float(fit.x[1] / scale), moved[:, 1] / scale)


def calibration_intercept(
    labels: Labels, logits: Logits, prevalence: Prevalence, index: int
) -> Estimate:
    """Return the calibration intercept of a class, with the slope held at 1.

    NaN where the class or all others have no image or no prevalence. Arguments as of the slope.
    """
    odds, inside, w = _parts(labels, logits, prevalence, index)
    if w[inside].sum() <= 0 or w[~inside].sum() <= 0:
        return Estimate(float("nan"), np.full(len(labels), np.nan))

    def lacking(a: float) -> float:
        return float(w @ (inside - expit(a + odds)))

    # At these ends even the image that is least so is called almost surely one or the other.
    most = float(np.abs(odds).max()) + 50.0
    value = float(root_scalar(lacking, bracket=(-most, most)).root)
    p = expit(value + odds)
    return Estimate(value, (inside - p) / float(w @ (p * (1 - p))))


def _parts(
    labels: Labels, logits: Logits, prevalence: Prevalence, index: int
) -> tuple[Float[np.ndarray, " images"], Bool[np.ndarray, " images"], Float[np.ndarray, " images"]]:
    w = prevalence_weights(labels, prevalence)
    return log_odds(logits, index), labels == index, w / w.sum()
