"""Whether the best hyperparameters depend on a context: a permutation test of interactions.

The scores are regressed on the levels of the context and on each hyperparameter (with its square,
where there are trials enough), which is the model in which the context moves all configurations
alike. What it leaves is compared with each product of hyperparameter and context. The largest
correlation is judged against that of the same residuals in random orders, so that the level holds
over all hyperparameters together.

Papers: Huh and Jhun, Random permutation testing in multiple linear regression, 2001; Westfall and
Young, Resampling-based multiple testing, 1993 (the largest of many).
URL: https://doi.org/10.1081/STA-100106063
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from lmd_bench.stats.surface import UnitColumns

N_PERMUTATIONS = 999
_LEAST_DF = 8  # residual degrees of freedom, below which nothing can be told


@dataclass(frozen=True)
class Interactions:
    """What a test found."""

    p: float  # that no hyperparameter interacts with the context
    of_each: dict[str, float]  # hyperparameter -> p, over all of them together


def interactions(
    columns: UnitColumns,
    context: Sequence[float],
    scores: Sequence[float],
    seed: int = 0,
    n_permutations: int = N_PERMUTATIONS,
) -> Interactions | None:
    """Test whether what hyperparameters do to the scores changes with the context.

    Args:
        columns: Hyperparameters of each trial.
        context: Of each trial, such as its log factor.
        scores: Of each trial.
        seed: Of the permutations.
        n_permutations: Random orders.

    Returns:
        None where there are too few trials, or nothing varies.
    """
    x, y = columns.values, np.asarray(scores, dtype=float)
    t = np.asarray(context, dtype=float)
    base = _additive(x, t)
    if base is None or not x.shape[1] or len(np.unique(t)) < 2:
        return None
    # In a basis of what the model cannot explain, noise has entries of equal spread, whose order is
    # exchangeable; residuals themselves are correlated.
    unexplained = _unexplained(base)
    residuals = unexplained.T @ y
    products = unexplained.T @ ((x - x.mean(axis=0)) * (t - t.mean())[:, None])
    norms = np.linalg.norm(products, axis=0)
    usable = norms > 1e-9
    if not usable.any() or np.linalg.norm(residuals) < 1e-12:
        return None
    products, names = products[:, usable] / norms[usable], np.array(columns.names)[usable]
    orders = np.tile(residuals, (n_permutations, 1))
    drawn = np.random.default_rng(seed).permuted(orders, axis=1).T
    largest = _correlations(products, drawn).max(axis=0)
    found = _correlations(products, residuals[:, None])[:, 0]
    p = {str(name): _p(largest, float(found[names == name].max())) for name in dict.fromkeys(names)}
    return Interactions(min(p.values()), p)


def _additive(
    x: Float[np.ndarray, "trials columns"], t: Float[np.ndarray, " trials"]
) -> Float[np.ndarray, "trials terms"] | None:
    """Return the terms of the model without interactions; None where they are too many."""
    levels = np.unique(t)[1:]
    dummies = (t[:, None] == levels[None, :]).astype(float)
    linear = np.column_stack([np.ones(len(t)), dummies, x])
    # The square of a column of 0 and 1 is that column.
    curved = x[:, [len(np.unique(column)) > 2 for column in x.T]] ** 2
    for terms in (np.column_stack([linear, curved]), linear):
        if len(t) - terms.shape[1] - x.shape[1] >= _LEAST_DF:
            return terms
    return None


def _unexplained(
    terms: Float[np.ndarray, "trials terms"],
) -> Float[np.ndarray, "trials rest"]:
    """Return an orthonormal basis of all that is orthogonal to the terms, one on all machines.

    Which basis a decomposition returns is up to the library, and the random orders are of numbers
    in it. So fixed directions are projected on that space, and made orthonormal one after another.
    """
    explained, singular, _ = np.linalg.svd(terms, full_matrices=False)
    explained = explained[:, singular > 1e-10 * singular[0]]
    n, rank = explained.shape
    directions = np.random.default_rng(0).standard_normal((n, n - rank))
    basis, triangle = np.linalg.qr(directions - explained @ (explained.T @ directions))
    return basis * np.sign(np.diag(triangle))


def _correlations(
    products: Float[np.ndarray, "rest products"], residuals: Float[np.ndarray, "rest draws"]
) -> Float[np.ndarray, "products draws"]:
    return np.abs(products.T @ residuals) / np.linalg.norm(residuals, axis=0)


def _p(largest: Float[np.ndarray, " draws"], found: float) -> float:
    return (1 + int((largest >= found - 1e-12).sum())) / (1 + len(largest))
