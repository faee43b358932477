"""Ensembles of classifiers from their stored probabilities: means, and which to take the mean of.

An ensemble's probabilities are the weighted mean of its members'. Members are chosen on val, one
after another and with replacement, each time the one that lowers the loss of the mean the most;
how often a member was chosen is its weight. The loss is class-balanced log-loss: a balanced
accuracy moves by whole images, and a choice by it overfits a val of a hundred.

Paper: Caruana et al., Ensemble selection from libraries of models, ICML 2004.
URL: https://doi.org/10.1145/1015330.1015432
"""

import numpy as np
from jaxtyping import Float, Int64

Labels = Int64[np.ndarray, " images"]
Members = Float[np.ndarray, "members images classes"]  # probabilities

MOST_PICKS = 50
_LEAST = 1e-12  # a probability; its logarithm is still finite
_EQUAL = 1e-9  # difference of two losses


def balanced_log_loss(labels: Labels, probabilities: Float[np.ndarray, "images classes"]) -> float:
    """Return the mean over classes of the mean of -log p_y over the class's images, in nats."""
    own = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(own, _LEAST)) @ _image_weights(labels))


def greedy_counts(
    labels: Labels, members: Members, most: int = MOST_PICKS
) -> Int64[np.ndarray, " members"]:
    """Return how often each member is picked, up to the pick after which the loss is least.

    Of equal members the first is taken.

    Args:
        labels: of the val images.
        members: the probabilities of each member on them.
        most: picks.
    """
    weights = _image_weights(labels)
    own = members[:, np.arange(len(labels)), labels]
    together = np.zeros(len(labels))
    picks: list[int] = []
    reached: list[float] = []
    # To the end, for a second pick of the best member lowers nothing by itself: it makes the weight
    # of the next one finer.
    for n_picks in range(1, most + 1):
        losses = -np.log(np.maximum((together + own) / n_picks, _LEAST)) @ weights
        picks.append(int(losses.argmin()))
        reached.append(float(losses.min()))
        together += own[picks[-1]]
    # The first of equal ones, whatever their last digits are.
    last = int(np.argmax(np.array(reached) <= min(reached) + _EQUAL))
    kept = picks[: last + 1]
    return np.bincount(kept, minlength=len(members)).astype(np.int64)


def weighted_mean(
    members: Members, counts: Int64[np.ndarray, " members"]
) -> Float[np.ndarray, "images classes"]:
    """Return the mean of the members' probabilities, each as often as it was picked."""
    return np.tensordot(counts / counts.sum(), members, axes=1)


def _image_weights(labels: Labels) -> Float[np.ndarray, " images"]:
    """Return what each image counts, so that each class that has images counts the same."""
    images_of_class = np.bincount(labels)
    return 1.0 / (images_of_class[labels] * np.count_nonzero(images_of_class))
