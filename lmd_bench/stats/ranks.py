"""Methods over several tasks: average ranks, win rates, and which of them differ.

A matrix of scores has one row for each task and one column for each method, none missing. Ranks are
from 1, the best; equal scores share the mean of their ranks.

Papers: Demsar, Statistical comparisons of classifiers over multiple data sets, JMLR 2006;
Benavoli, Corani and Mangili, Should we really use post-hoc tests based on mean-ranks?, JMLR 2016,
which is why pairs are tested by Wilcoxon's test on their own scores, not by differences of ranks.
URL: https://www.jmlr.org/papers/v7/demsar06a.html, https://www.jmlr.org/papers/v17/benavoli16a.html
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import friedmanchisquare, rankdata

from lmd_bench.stats.paired import LEVEL, holm

Scores = Float[np.ndarray, "tasks methods"]  # higher is better

FEWEST_TASKS = 6  # the two-sided signed-rank test of 5 cannot reach 5 %


@dataclass(frozen=True)
class PairTest:
    """Two methods over the tasks."""

    first: int  # column of the scores
    second: int
    p: float  # of Wilcoxon's signed-rank test
    p_holm: float


@dataclass(frozen=True)
class Differences:
    """What the tests over tasks say."""

    friedman: float  # chi-squared of all methods having equal ranks; NaN for two methods
    friedman_p: float
    pairs: tuple[PairTest, ...]
    cliques: tuple[tuple[int, ...], ...]  # methods of neighbouring ranks that nothing tells apart


def average_ranks(scores: Scores) -> Float[np.ndarray, " methods"]:
    """Return the mean rank of each method over the tasks."""
    return rankdata(-scores, axis=1).mean(axis=0)


def win_rates(scores: Scores) -> Float[np.ndarray, "methods methods"]:
    """Return the share of tasks on which the method of the row beats that of the column.

    Equal scores count half; a method against itself is NaN.
    """
    above = scores[:, :, None] > scores[:, None, :]
    equal = scores[:, :, None] == scores[:, None, :]
    rates = (above + 0.5 * equal).mean(axis=0)
    np.fill_diagonal(rates, np.nan)
    return rates


def differences(scores: Scores) -> Differences:
    """Return Friedman's test, Wilcoxon's of every pair with Holm's correction, and the cliques.

    Raises:
        AssertionError: fewer than `FEWEST_TASKS` tasks, or a single method.
    """
    n_tasks, n_methods = scores.shape
    assert n_tasks >= FEWEST_TASKS, f"{n_tasks} tasks are too few"
    assert n_methods > 1, "one method has nothing to differ from"
    friedman, friedman_p = float("nan"), float("nan")
    if n_methods > 2:
        friedman, friedman_p = map(float, friedmanchisquare(*scores.T))
    indices = [(i, j) for i in range(n_methods) for j in range(i + 1, n_methods)]
    p_values = [signed_rank_p(scores[:, i] - scores[:, j]) for i, j in indices]
    pairs = tuple(
        PairTest(i, j, p, adjusted)
        for (i, j), p, adjusted in zip(indices, p_values, holm(p_values), strict=True)
    )
    return Differences(friedman, friedman_p, pairs, cliques(average_ranks(scores), pairs))


def signed_rank_p(differences: Float[np.ndarray, " tasks"]) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test, exact with ties too.

    Zeros are dropped, as Wilcoxon did; of the rest, every choice of signs is equally likely, and
    the distribution of the rank sum is built up rank by rank. 1 where all are zero.

    Paper: Wilcoxon, Individual comparisons by ranking methods, 1945.
    URL: https://doi.org/10.2307/3001968
    """
    known = differences[differences != 0]
    ranks = np.rint(2 * rankdata(np.abs(known))).astype(int)  # whole: ties have half ranks
    chances = np.ones(1)  # of each sum of positive ranks
    for rank in ranks:
        chances = (np.pad(chances, (0, rank)) + np.pad(chances, (rank, 0))) / 2
    observed = ranks[known > 0].sum()
    tails = chances[: observed + 1].sum(), chances[observed:].sum()
    return min(1.0, 2 * float(min(tails)))


def cliques(
    ranks: Float[np.ndarray, " methods"], pairs: tuple[PairTest, ...], level: float = LEVEL
) -> tuple[tuple[int, ...], ...]:
    """Return the largest runs of methods, in the order of their ranks, of which no pair differs.

    These are the bars of a critical-difference picture; a run of one method is not among them.
    """
    differ = {frozenset((pair.first, pair.second)) for pair in pairs if pair.p_holm <= level}
    order: list[int] = np.argsort(ranks, kind="stable").tolist()
    found: list[tuple[int, ...]] = []
    for start in range(len(order)):
        end = start + 1
        while end < len(order) and not any(
            frozenset((order[end], member)) in differ for member in order[start:end]
        ):
            end += 1
        run = tuple(order[start:end])
        if len(run) > 1 and not (found and set(run) <= set(found[-1])):
            found.append(run)
    return tuple(found)


def least_adjusted_p(n_tasks: int, n_methods: int) -> float:
    """Return the smallest p that any pair can have after Holm: 2^(1 - tasks) times the pairs."""
    return min(1.0, 2.0 ** (1 - n_tasks) * n_methods * (n_methods - 1) / 2)
