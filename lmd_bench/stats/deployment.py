"""What a classifier would do where classes are as frequent as they are in practice.

Test sets are cut to judge classes, not to mirror a clinic. All numbers here weight the images of
class k by pi_k / n_k, with pi the prevalence where the classifier is to be used and n_k the test
images of the class: what a test set of that prevalence would show, as long as the images of each
class are the same kind there. Pure NumPy.
"""

import numpy as np
from jaxtyping import Float, Int64

from lmd_bench.stats.probabilities import log_probabilities

Labels = Int64[np.ndarray, " images"]
Logits = Float[np.ndarray, "images classes"]
Prevalence = Float[np.ndarray, " classes"]  # sums to 1
Costs = Float[np.ndarray, "classes classes"]  # of deciding for the column where the row is true


def prevalence_weights(labels: Labels, prevalence: Prevalence) -> Float[np.ndarray, " images"]:
    """Return the weight of each image, pi_k / n_k; all weights add up to 1 where no class lacks."""
    n_images = np.bincount(labels, minlength=len(prevalence))
    return (prevalence / np.maximum(n_images, 1))[labels]


def shifted(logits: Logits, prevalence: Prevalence) -> Logits:
    """Return the logits of a classifier that takes classes as equally frequent, at a prevalence.

    log softmax(z + log pi): Bayes' rule for another prior. It is right for logits that mean equal
    priors, as those of calibrations for balanced accuracy do.

    Paper: Saerens et al., Adjusting the outputs of a classifier to new a priori probabilities,
    Neural Computation 2002. URL: https://doi.org/10.1162/089976602753284446
    """
    return log_probabilities(logits) + np.log(np.maximum(prevalence, 1e-12))


def predictive_values(
    labels: Labels, logits: Logits, prevalence: Prevalence
) -> tuple[Float[np.ndarray, " classes"], Float[np.ndarray, " classes"]]:
    """Return the PPV and NPV of each class against all others.

    PPV_k: the share of images called k that are k; NPV_k: the share of those not called k that are
    not. NaN where nothing, or everything, is called k.
    """
    n_classes = logits.shape[1]
    w = prevalence_weights(labels, prevalence)
    cells = labels * n_classes + logits.argmax(axis=1)
    joint = np.bincount(cells, weights=w, minlength=n_classes**2).reshape(n_classes, n_classes)
    called, true, both = joint.sum(axis=0), joint.sum(axis=1), joint.diagonal()
    total = joint.sum()
    neither = total - called - true + both
    return _ratio(both, called), _ratio(neither, total - called)


def specificity(labels: Labels, logits: Logits, prevalence: Prevalence, index: int) -> float:
    """Return the share of images of other classes that are not called this class."""
    others = labels != index
    w = prevalence_weights(labels, prevalence)[others]
    called = logits.argmax(axis=1)[others] == index
    return float(1.0 - np.average(called, weights=w)) if w.sum() > 0 else float("nan")


def sensitivity_at(
    labels: Labels, logits: Logits, prevalence: Prevalence, index: int, least: float
) -> float:
    """Return the sensitivity for a class at a threshold that keeps a specificity.

    The threshold on the probability of the class is the lowest at which a share of at least `least`
    of the images of other classes lies below. NaN where the class or all others have no image.

    Args:
        labels: Index of the true class of each image.
        logits: Scores.
        prevalence: It weights the other classes.
        index: Of the class.
        least: Specificity in [0, 1].
    """
    score = log_probabilities(logits)[:, index]
    inside, w = labels == index, prevalence_weights(labels, prevalence)
    if not inside.any() or w[~inside].sum() <= 0:
        return float("nan")
    others, of_others = score[~inside], w[~inside]
    order = np.argsort(others)
    below = np.cumsum(of_others[order]) / of_others.sum()
    # An image counts as called where it lies above the highest that has to stay below.
    last = int(np.searchsorted(below, least - 1e-12))
    bound = others[order][min(last, len(others) - 1)] if least > 0 else -np.inf
    return float((score[inside] > bound).mean())


def expected_cost(labels: Labels, decided: Labels, prevalence: Prevalence, costs: Costs) -> float:
    """Return the mean cost of decisions: sum_k pi_k mean over the images of k of cost[k, decided].

    Paper: Maier-Hein et al., Metrics reloaded, Nature Methods 2024.
    URL: https://arxiv.org/abs/2206.01653
    """
    w = prevalence_weights(labels, prevalence)
    return float((w * costs[labels, decided]).sum() / w.sum())


def cheapest(logits: Logits, costs: Costs) -> Labels:
    """Return for each image the decision of the least expected cost by its probabilities."""
    return (np.exp(log_probabilities(logits)) @ costs).argmin(axis=1)


def net_benefit(
    labels: Labels, logits: Logits, prevalence: Prevalence, index: int, threshold: float
) -> tuple[float, float]:
    """Return the net benefit of acting where p_k is above a threshold, and of acting on everybody.

    sensitivity pi - (1 - specificity) (1 - pi) t / (1 - t), with pi the prevalence of class k: true
    positives less false ones, at the rate of exchange that the threshold states. Acting on nobody
    has 0.

    Paper: Vickers and Elkin, Decision curve analysis, Medical Decision Making 2006.
    URL: https://doi.org/10.1177/0272989X06295361
    """
    w = prevalence_weights(labels, prevalence)
    inside, total = labels == index, w.sum()
    acts = np.exp(log_probabilities(logits)[:, index]) > threshold
    odds = threshold / (1.0 - threshold)
    true, false = w[inside & acts].sum() / total, w[~inside & acts].sum() / total
    return float(true - odds * false), float((w[inside].sum() - odds * w[~inside].sum()) / total)


def _ratio(part: np.ndarray, whole: np.ndarray) -> Float[np.ndarray, " classes"]:
    empty = np.full(len(whole), np.nan)
    return np.divide(part, whole, out=empty, where=whole > 1e-12)
