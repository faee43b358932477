"""A planted interaction is found, and none is found where there is none."""

import numpy as np
import pytest

from lmd_bench.stats.interaction import _additive, _unexplained, interactions
from lmd_bench.stats.surface import UnitColumns

N_LEVELS = 5


def simulated(seed, n, d, shift, noise=0.02):
    """Return columns, context and scores of a search over a range.

    The best value of the first hyperparameter moves by `shift` of its range over the levels; the
    second acts everywhere alike, the context alone does most.
    """
    rng = np.random.default_rng(seed)
    x = rng.random((n, d))
    blocks = [rng.permutation(N_LEVELS) for _ in range(n // N_LEVELS)]
    t = np.concatenate(blocks) / (N_LEVELS - 1)
    best = 0.5 + shift * (t - 0.5)
    y = 0.6 - 0.15 * t - 0.4 * (x[:, 0] - best) ** 2 + 0.05 * x[:, 1]
    y += noise * rng.standard_normal(n)
    names = tuple(f"a.{place}" for place in range(d))
    return UnitColumns(names, x), t.tolist(), y.tolist()


def share_found(n_runs, n, d, shift):
    found = 0
    for seed in range(n_runs):
        tested = interactions(*simulated(seed, n, d, shift), seed, n_permutations=99)
        assert tested is not None
        found += tested.p <= 0.05
    return found / n_runs


@pytest.mark.parametrize(("n", "d"), [(40, 3), (40, 6), (80, 12)])
def test_a_planted_interaction_is_found_in_nine_of_ten_searches(n, d):
    assert share_found(60, n, d, shift=0.4) >= 0.9


@pytest.mark.parametrize(("n", "d"), [(40, 3), (80, 12)])
def test_without_one_it_is_found_in_one_of_twenty(n, d):
    # 5 % and two standard errors of 500 searches
    assert share_found(500, n, d, shift=0.0) <= 0.07


def test_the_hyperparameter_that_interacts_is_named():
    tested = interactions(*simulated(3, 60, 4, shift=0.7))
    assert tested is not None
    assert min(tested.of_each, key=tested.of_each.get) == "a.0"
    assert tested.p == tested.of_each["a.0"] == 0.001  # none of 999 orders is as extreme
    assert min(tested.of_each[f"a.{place}"] for place in (1, 2, 3)) > 0.05


def test_equal_seeds_give_equal_p():
    data = simulated(1, 40, 3, shift=0.2)
    assert interactions(*data, 7) == interactions(*data, 7)


def test_columns_of_one_name_count_as_one_hyperparameter():
    columns, t, y = simulated(0, 60, 3, shift=0.5)
    tested = interactions(UnitColumns(("a.kind", "a.kind", "a.lr"), columns.values), t, y)
    assert tested is not None
    assert list(tested.of_each) == ["a.kind", "a.lr"]


@pytest.mark.parametrize("case", ["few trials", "one level", "no settings", "equal scores"])
def test_where_nothing_can_be_told_it_says_so(case):
    columns, t, y = simulated(0, 40, 3, shift=0.5)
    if case == "few trials":
        columns, t, y = UnitColumns(columns.names, columns.values[:12]), t[:12], y[:12]
    elif case == "one level":
        t = [0.5] * 40
    elif case == "no settings":
        columns = UnitColumns((), np.zeros((40, 0)))
    else:
        y = [0.5] * 40
    assert interactions(columns, t, y) is None


def test_p_does_not_hang_on_how_a_library_decomposes_a_matrix(monkeypatch: pytest.MonkeyPatch):
    columns, context, scores = simulated(1, 40, 3, shift=0.2)
    expected = interactions(columns, context, scores)
    decomposed, rng = np.linalg.svd, np.random.default_rng(5)

    def in_another_basis(matrix, full_matrices):
        left, singular, right = decomposed(matrix, full_matrices=full_matrices)
        rank = len(singular)
        turns = (rng.standard_normal((k, k)) for k in (rank, left.shape[1] - rank))
        turned = [
            part @ np.linalg.qr(turn)[0]
            for part, turn in zip(np.split(left, [rank], axis=1), turns, strict=True)
        ]
        return np.hstack(turned), singular, right

    monkeypatch.setattr(np.linalg, "svd", in_another_basis)
    assert interactions(columns, context, scores) == expected


def test_the_orders_are_of_all_residuals_of_a_search():
    columns, context, scores = simulated(1, 40, 3, shift=0.2)
    found = interactions(columns, context, scores, seed=7)
    assert found is not None
    # By hand from the same draws: each order holds every residual once.
    base = _additive(columns.values, np.array(context))
    assert base is not None
    rest = _unexplained(base)
    residuals = rest.T @ np.array(scores)
    x, t = columns.values, np.array(context)
    products = rest.T @ ((x - x.mean(axis=0)) * (t - t.mean())[:, None])
    products /= np.linalg.norm(products, axis=0)
    orders = np.random.default_rng(7).permuted(np.tile(residuals, (999, 1)), axis=1)
    largest = np.abs(orders @ products).max(axis=1)
    p = [(1 + (largest >= abs(residuals @ product) - 1e-12).sum()) / 1000 for product in products.T]
    assert list(found.of_each.values()) == pytest.approx(p)
