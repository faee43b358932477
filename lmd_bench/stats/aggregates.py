"""Methods over several data sets in one number each: win rate, Elo-like score, improvability, IQM.

A matrix of scores has one row for each data set and one column for each method, none missing; all
scores are at most 1, and 1 less the score is the error. What is of runs takes all runs of a method,
whatever their task, each with its weight.

Paper of the interquartile mean, performance profiles and the probability of improvement: Agarwal
and others, Deep reinforcement learning at the edge of the statistical precipice, NeurIPS 2021.
URL: https://arxiv.org/abs/2108.13264
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from lmd_bench.stats.ranks import Scores, win_rates

ELO_MEAN, ELO_SCALE = 1000.0, 400 / np.log(10)  # ten to one is 400 apart
_DRAWS = 1.0  # added to each pair, half to either: a method that always wins stays finite
_STEPS = 100
_N_RESAMPLES = 500  # of the data sets, which are few
FEWEST_RUNS = 4  # of which a quarter can be cut off
_ROUNDING = 1e-9  # scores are shares of images; what equals a threshold is not above it


def mean_win_rates(scores: Scores) -> Float[np.ndarray, " methods"]:
    """Return the share of data sets and other methods that each method beats; equals count half."""
    if scores.shape[1] < 2:
        return np.full(scores.shape[1], np.nan)
    return np.nanmean(win_rates(scores), axis=1)


def elo(scores: Scores) -> Float[np.ndarray, " methods"]:
    """Return Bradley-Terry strengths on Elo's scale, with a mean of 1000.

    P(a beats b) = 1 / (1 + 10^((elo_b - elo_a) / 400)), fitted to who wins on how many data sets by
    the minorise-maximise steps of Hunter. One drawn game is added to each pair.

    Papers: Hunter, MM algorithms for generalized Bradley-Terry models, Annals of Statistics 2004;
    Erickson and others, TabArena: a living benchmark for machine learning on tabular data, 2025.
    URL: https://doi.org/10.1214/aos/1079120141, https://arxiv.org/abs/2506.16791
    """
    n_tasks, n_methods = scores.shape
    games = (n_tasks + _DRAWS) * (1 - np.eye(n_methods))
    wins = np.nan_to_num(win_rates(scores)) * n_tasks + _DRAWS / 2 * (1 - np.eye(n_methods))
    strength = np.ones(n_methods)
    for _ in range(_STEPS if n_methods > 1 else 0):
        rate = (games / (strength[:, None] + strength[None, :])).sum(axis=1)
        strength = wins.sum(axis=1) / rate
        strength /= np.exp(np.log(strength).mean())
    return ELO_MEAN + ELO_SCALE * np.log(strength)


def improvability(scores: Scores) -> Float[np.ndarray, " methods"]:
    """Return by which share of its error each method could improve: the mean of 1 - best / own.

    0 for a method that is best on every data set; a method without errors has none to improve.

    Paper: Erickson and others, TabArena, 2025. URL: https://arxiv.org/abs/2506.16791
    """
    error = 1 - scores
    best = error.min(axis=1, keepdims=True)
    share = np.divide(best, error, out=np.ones_like(error), where=error > 0)
    return (1 - share).mean(axis=0)


def improvement_probability(
    runs: Sequence[Sequence[Sequence[float]]],
) -> Float[np.ndarray, " methods"]:
    """Return how likely a run of each method beats a run of another one, over data sets and rivals.

    P(X > Y) + P(X = Y) / 2 over all pairs of runs on one data set, then the mean over data sets and
    over the other methods.

    Args:
        runs: For each data set and method the score of each retraining.
    """
    n_methods = len(runs[0])
    chances = np.full((len(runs), n_methods, n_methods), np.nan)
    for task, methods in enumerate(runs):
        for a in range(n_methods):
            for b in range(n_methods):
                if a != b and len(methods[a]) and len(methods[b]):
                    apart = np.subtract.outer(methods[a], methods[b])
                    chances[task, a, b] = np.mean((apart > 0) + 0.5 * (apart == 0))
    known = ~np.isnan(chances)
    n_known = known.sum(axis=(0, 2))
    total = np.where(known, chances, 0).sum(axis=(0, 2))
    return np.divide(total, n_known, out=np.full(n_methods, np.nan), where=n_known > 0)


def above_chance(
    balanced_accuracy: Float[np.ndarray, "*shape"], n_classes: int
) -> Float[np.ndarray, "*shape"]:
    """Return balanced accuracy on the way from chance (0) to all right (1).

    (b - 1 / K) / (1 - 1 / K): tasks of 7 and of 12 classes then have one unit. Both ends are fixed.
    The best method of a task as its end would let each score depend on who else takes part.

    Args:
        balanced_accuracy: Mean recall.
        n_classes: K, those with test images.
    """
    chance = 1 / n_classes
    return (balanced_accuracy - chance) / (1 - chance) if n_classes > 1 else balanced_accuracy


def interquartile_mean(
    scores: Float[np.ndarray, "*shape runs"], weights: Float[np.ndarray, "*weighed runs"]
) -> Float[np.ndarray, "*shape"]:
    """Return the mean of the middle half of the runs; of fewer than four, the mean of all.

    A run that the edge of that half cuts counts with its part inside, so weights may be any. Where
    four divides a number of equal runs, it is the trimmed mean of the paper.

    Args:
        scores: Of all runs of a method.
        weights: Of these runs; as `scores`, or the same for all of them.
    """
    shares = np.broadcast_to(weights / weights.sum(axis=-1, keepdims=True), scores.shape)
    if scores.shape[-1] < FEWEST_RUNS:
        return np.asarray((scores * shares).sum(axis=-1))
    order = np.argsort(scores, axis=-1)
    ordered, of_run = (np.take_along_axis(part, order, axis=-1) for part in (scores, shares))
    upto = of_run.cumsum(axis=-1)
    inside = np.clip(upto, 0.25, 0.75) - np.clip(upto - of_run, 0.25, 0.75)
    return np.asarray((ordered * inside).sum(axis=-1) / 0.5)


def performance_profile(
    scores: Float[np.ndarray, "*shape runs"],
    weights: Float[np.ndarray, "*weighed runs"],
    thresholds: Float[np.ndarray, " thresholds"],
) -> Float[np.ndarray, "*shape thresholds"]:
    """Return the share of runs above each threshold.

    Args:
        scores: Of all runs of a method.
        weights: Of these runs; as `scores`, or the same for all of them.
        thresholds: Tau of the paper.
    """
    shares = weights / weights.sum(axis=-1, keepdims=True)
    above = [((scores > tau + _ROUNDING) * shares).sum(axis=-1) for tau in thresholds.tolist()]
    return np.stack(above, axis=-1)


def over_datasets(
    statistic: Callable[[np.ndarray], np.ndarray],
    n_datasets: int,
    generator: np.random.Generator,
    n_resamples: int = _N_RESAMPLES,
) -> tuple[Float[np.ndarray, " methods"], Float[np.ndarray, " methods"]]:
    """Return 95 % percentile bounds of a statistic of each method, by drawing data sets anew.

    Args:
        statistic: Of the data sets with these indices.
        n_datasets: How many there are.
        generator: Draws them.
        n_resamples: How often.
    """
    drawn = [statistic(generator.integers(n_datasets, size=n_datasets)) for _ in range(n_resamples)]
    low, high = np.quantile(np.array(drawn), [0.025, 0.975], axis=0)
    return low, high
