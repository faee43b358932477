"""Ranks over tasks by hand and against scipy, and how often equal methods seem to differ."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import friedmanchisquare, rankdata, wilcoxon

from lmd_bench.stats.paired import holm
from lmd_bench.stats.ranks import (
    PairTest,
    average_ranks,
    cliques,
    differences,
    least_adjusted_p,
    signed_rank_p,
    win_rates,
)

RNG = np.random.default_rng


def test_ranks_and_win_rates_by_hand() -> None:
    scores = np.array([[0.9, 0.5, 0.5], [0.6, 0.7, 0.1]])

    assert average_ranks(scores).tolist() == [1.5, 1.75, 2.75]
    rates = win_rates(scores)
    assert rates[0, 1] == 0.5
    assert rates[0, 2] == 1.0
    assert rates[1, 2] == 0.75  # one win, one tie
    assert rates[2, 1] == 0.25
    assert np.isnan(rates.diagonal()).all()


def test_the_tests_are_those_of_scipy_with_holm() -> None:
    scores = RNG(0).normal(size=(9, 4)) + np.array([0.0, 0.5, 1.0, 3.0])

    found = differences(scores)

    expected = friedmanchisquare(*scores.T)
    assert (found.friedman, found.friedman_p) == pytest.approx(tuple(expected))
    p_values = [
        float(wilcoxon(scores[:, p.first], scores[:, p.second]).pvalue) for p in found.pairs
    ]
    assert len(p_values) == 6
    assert [pair.p for pair in found.pairs] == pytest.approx(p_values)
    assert [pair.p_holm for pair in found.pairs] == pytest.approx(holm(p_values))


@pytest.mark.parametrize("n", [6, 13, 40])
def test_the_signed_rank_test_is_scipys(n: int) -> None:
    values = RNG(n).normal(0.3, 1, n)

    assert signed_rank_p(values) == pytest.approx(wilcoxon(values, method="exact").pvalue)


def test_the_signed_rank_test_is_exact_with_ties_and_drops_zeros() -> None:
    # ranks 2, 2, 2, 4 with one of the equal ones negative: sums of 2 or less have 1 + 3 of 16 signs
    assert signed_rank_p(np.array([1.0, -1.0, 1.0, 2.0, 0.0])) == pytest.approx(2 * 4 / 16)
    assert signed_rank_p(np.zeros(3)) == 1.0
    assert signed_rank_p(np.arange(1.0, 7.0)) == pytest.approx(2 / 64)


def test_methods_that_score_the_same_do_not_differ() -> None:
    column = RNG(0).uniform(size=(6, 1))

    found = differences(np.repeat(column, 2, axis=1))

    assert found.pairs[0].p == 1.0
    assert np.isnan(found.friedman)  # two methods: Wilcoxon's test says all there is
    assert found.cliques == ((0, 1),)


def _pairs(p_holm: dict[tuple[int, int], float]) -> tuple[PairTest, ...]:
    return tuple(PairTest(i, j, p, p) for (i, j), p in p_holm.items())


def test_cliques_are_the_longest_runs_of_ranks_without_a_difference() -> None:
    ranks = np.array([3.0, 1.0, 2.0, 4.0])  # order 1, 2, 0, 3
    pairs = _pairs(
        {(0, 1): 0.01, (0, 2): 0.5, (0, 3): 0.2, (1, 2): 0.9, (1, 3): 0.01, (2, 3): 0.04}
    )

    assert cliques(ranks, pairs) == ((1, 2), (2, 0), (0, 3))


def test_a_run_does_not_reach_over_a_method_that_differs() -> None:
    # the outer two do not differ, but each does from the middle one: no bar may join them
    pairs = _pairs({(0, 1): 0.01, (0, 2): 0.5, (1, 2): 0.01})

    assert cliques(np.array([1.0, 2.0, 3.0]), pairs) == ()


def test_with_few_tasks_no_pair_can_differ() -> None:
    assert least_adjusted_p(6, 2) == pytest.approx(0.03125)
    assert least_adjusted_p(6, 3) == pytest.approx(0.09375)
    assert least_adjusted_p(3, 10) == 1.0


def test_too_few_tasks_are_refused() -> None:
    with pytest.raises(AssertionError, match="5 tasks are too few"):
        differences(np.zeros((5, 3)))


@pytest.mark.parametrize("n_boards", [300, pytest.param(1000, marks=pytest.mark.slow)])
def test_equal_methods_differ_anywhere_at_most_5_times_in_100(n_boards: int) -> None:
    """Leaderboards of 4 equal methods on 12 tasks of different difficulty."""
    generator = RNG(0)
    friedman, any_pair = 0, 0
    for _ in range(n_boards):
        scores = generator.normal(size=(12, 4)) * 0.02 + generator.uniform(0.3, 0.9, (12, 1))
        found = differences(scores)
        friedman += found.friedman_p <= 0.05
        any_pair += min(pair.p_holm for pair in found.pairs) <= 0.05

    most = 0.05 + 2 * (0.05 * 0.95 / n_boards) ** 0.5  # 5 % and two standard errors
    assert friedman / n_boards <= most
    assert any_pair / n_boards <= most


def test_with_ties_the_signed_rank_test_counts_every_choice_of_signs() -> None:
    sizes = np.array([1.0, 1.0, 2.0, 2.0, 2.0])
    signs = np.array(list(product([-1, 1], repeat=5)))
    sums = (rankdata(sizes) * (signs > 0)).sum(axis=1)
    for sign, observed in zip(signs, sums, strict=True):
        tails = (sums <= observed).mean(), (sums >= observed).mean()
        assert signed_rank_p(sizes * sign) == pytest.approx(min(1, 2 * min(tails)))
