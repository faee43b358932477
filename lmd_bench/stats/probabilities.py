"""How good the probabilities of a classifier are, and the temperature that mends them.

Proper scores and calibration error of softmax(z); pure NumPy.
"""

import numpy as np
from jaxtyping import Float, Int64

Labels = Int64[np.ndarray, " images"]
Logits = Float[np.ndarray, "images classes"]
# How much each image counts; None: all count the same. Only their ratios matter.
Weights = Float[np.ndarray, " images"] | None

_BINS = 15  # of confidence, as in Guo et al.
_N_DRAWS = 100  # for what is expected by chance
_COLDEST, _HOTTEST = 1e-2, 1e2


def log_probabilities(logits: Logits, temperature: float = 1.0) -> Logits:
    """Return log softmax(z / T)."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    return scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))


def negative_log_likelihood(labels: Labels, logits: Logits, weights: Weights = None) -> float:
    """Return the mean of -log p_y, in nats."""
    losses = -log_probabilities(logits)[np.arange(len(labels)), labels]
    return float(np.average(losses, weights=weights))


def brier_score(labels: Labels, logits: Logits, weights: Weights = None) -> float:
    """Return the mean over images of sum_j (p_j - 1[j = y])^2, in [0, 2]."""
    p = np.exp(log_probabilities(logits))
    p[np.arange(len(labels)), labels] -= 1.0
    return float(np.average((p**2).sum(axis=1), weights=weights))


def expected_calibration_error(labels: Labels, logits: Logits, weights: Weights = None) -> float:
    """Return the mean gap of confidence and accuracy over 15 bins of equal width, in [0, 1].

    Paper: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, Eq. 3.
    URL: https://arxiv.org/abs/1706.04599
    """
    p = np.exp(log_probabilities(logits))
    confidence, right = p.max(axis=1), p.argmax(axis=1) == labels
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    w = np.ones(len(labels)) if weights is None else weights
    gaps = np.bincount(bins, weights=w * (confidence - right), minlength=_BINS)
    return float(np.abs(gaps).sum() / w.sum())


def classwise_calibration_error(labels: Labels, logits: Logits, weights: Weights = None) -> float:
    """Return the calibration error of each class's probability, averaged over all K classes.

    1/K sum_j sum_b |B_bj| / n |share of class j in B_bj - mean p_j in B_bj|, over 15 bins of p_j of
    equal width. It sees errors of every class, not of the predicted one alone.

    Paper: Kull et al., Beyond temperature scaling, NeurIPS 2019, Eq. 3.
    URL: https://arxiv.org/abs/1910.12656
    """
    p = np.exp(log_probabilities(logits))
    n_classes = p.shape[1]
    w = np.ones(len(labels)) if weights is None else weights
    bins = np.minimum((p * _BINS).astype(int), _BINS - 1)
    cells = bins + _BINS * np.arange(n_classes)
    gap = w[:, None] * (p - (labels[:, None] == np.arange(n_classes)))
    gaps = np.bincount(cells.ravel(), weights=gap.ravel(), minlength=_BINS * n_classes)
    return float(np.abs(gaps).sum() / w.sum() / n_classes)


def calibration_error_by_chance(labels: Labels, logits: Logits, weights: Weights = None) -> float:
    """Return the calibration error that these confidences would have if they were perfectly right.

    The error counts gaps of either sign, so it is above 0 for a finite number of images. It is the
    mean over draws of which images are right, by their confidences.

    Paper: Broecker and Smith, Increasing the reliability of reliability diagrams, Weather and
    Forecasting 2007 (consistency resampling). URL: https://doi.org/10.1175/WAF993.1
    """
    confidence = np.exp(log_probabilities(logits)).max(axis=1)
    w = np.ones(len(labels)) if weights is None else weights
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    right = np.random.default_rng(0).random((_N_DRAWS, len(labels))) < confidence
    gaps = (w * (confidence - right)) @ (bins[:, None] == np.arange(_BINS))
    return float(np.abs(gaps).sum(axis=1).mean() / w.sum())


def classwise_error_by_chance(labels: Labels, logits: Logits, weights: Weights = None) -> float:
    """Return the class-wise calibration error that perfectly calibrated probabilities would have.

    As `calibration_error_by_chance`, with the class of each image drawn by its probabilities.
    """
    p = np.exp(log_probabilities(logits))
    above = np.cumsum(p, axis=1)[:, :-1]
    generator = np.random.default_rng(0)
    errors = [
        classwise_calibration_error((generator.random((len(p), 1)) > above).sum(axis=1), logits, w)
        for w in [weights] * _N_DRAWS
    ]
    return float(np.mean(errors))


def best_temperature(labels: Labels, logits: Logits, weights: Weights = None) -> float:
    """Return the T in [.01, 100] with the least negative log-likelihood (Guo et al., section 4.2).

    The likelihood is concave in 1 / T; the zero of its derivative is found by bisection.

    Args:
        labels: of the val images.
        logits: z, of the val images.
        weights: of the val images.
    """
    z = logits.astype(np.float64)
    own = z[np.arange(len(labels)), labels]

    def slope(temperature: float) -> float:  # of the loss in 1 / T
        p = np.exp(log_probabilities(z, temperature))
        return float(np.average((p * z).sum(axis=1) - own, weights=weights))

    low, high = 1.0 / _HOTTEST, 1.0 / _COLDEST
    for _ in range(60):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if slope(1.0 / middle) > 0 else (middle, high)
    return 1.0 / (low * high) ** 0.5
