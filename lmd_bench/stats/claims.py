"""How likely the claim is false that the method with the higher score is the better one.

A p-value does not say it: it takes the methods to be equal. Here true differences are normal about
0 with a standard deviation tau that the differences at hand tell, and each is shrunk by it:

    P(true difference has the other sign | d, tau) = T_df(-|d| / SE sqrt(k)),
    k = tau^2 / (tau^2 + SE^2)

and that is averaged over tau, weighted by how well it explains the differences and beforehand by
1 / (s + tau), with s the harmonic mean of SE. Below three differences nothing tells tau, and k = 1.

Papers: Gelman, Prior distributions for variance parameters in hierarchical models, 2006;
Christodoulou and others, False promises in medical imaging AI? Assessing validity of outperformance
claims, 2025. URL: https://doi.org/10.1214/06-BA117A, https://arxiv.org/abs/2505.04720
"""

from collections.abc import Sequence
from math import isnan, nan

import numpy as np
from jaxtyping import Float
from scipy.special import stdtr

from lmd_bench.stats.joint import Joint

_STEPS = 200  # of tau
FEWEST = 3  # differences that can tell how far methods lie apart


def false_claims(differences: Sequence[Joint]) -> list[float]:
    """Return for each difference the probability that its sign is not the true one; NaN if unknown.

    Args:
        differences: Of one metric, such as a method less each of the others.
    """
    known = [found for found in differences if not isnan(found.se)]
    if len(known) < FEWEST:
        return [_false(found, np.ones(1), np.ones(1)) for found in differences]
    d, se = (np.array([getattr(found, name) for found in known]) for name in ("value", "se"))
    tau = np.linspace(0, 4 * np.sqrt(np.mean(d**2)) + se.min(), _STEPS)
    sd = np.hypot(tau[:, None], se)
    likelihood = -(0.5 * (d / sd) ** 2 + np.log(sd)).sum(axis=1)  # but for a constant
    scale = 1 / np.mean(1 / se)
    weights = np.exp(likelihood - likelihood.max()) / (scale + tau)
    weights /= weights.sum()
    return [_false(f, tau**2 / (tau**2 + f.se**2), weights) for f in differences]


def _false(
    found: Joint, kept: Float[np.ndarray, " steps"], weights: Float[np.ndarray, " steps"]
) -> float:
    if isnan(found.se):
        return nan
    chances = stdtr(found.df, -abs(found.value) / found.se * np.sqrt(kept))
    return float(weights @ chances)
