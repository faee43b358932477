"""A surface of scores over hyperparameters and a context, such as the imbalance factor.

A Gaussian process with mean m and the covariance

    k((x, t), (x', t')) = a M(x, x') + b M(x, x') R(t, t') + c R(t, t') + n [same trial]

where M is Matern's of smoothness 5/2 over all hyperparameters and R Gaussian over the context. The
first part is what hyperparameters do wherever, the second what they do here and not there, the
third what the context does to all. Its scales are the most probable ones under wide priors.

Book: Rasmussen and Williams, Gaussian processes for machine learning, 2006, chapters 2, 4 and 5.
URL: https://gaussianprocess.org/gpml
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

Array = Float[np.ndarray, "..."]
# Centres and widths of the logarithms of a, b, c, n and of the lengths of x and t, for scores of
# variance 1 and x and t from 0 to 1. Interactions are taken to be small until they show.
_CENTRE = np.log([0.5, 0.1, 0.1, 0.5, 0.7, 0.7])
_WIDTH = np.array([1.0, 1.5, 1.5, 1.0, 0.7, 0.5])


@dataclass(frozen=True)
class UnitColumns:
    """Configurations as numbers from 0 to 1."""

    names: tuple[str, ...]  # of the hyperparameter of each column
    values: Float[np.ndarray, "configs columns"]


def unit_columns(configs: Sequence[Mapping[str, object]]) -> UnitColumns:
    """Return what varies between configurations as columns from 0 to 1.

    A number is its rank among the distinct values, so no scale need be known; of what is chosen
    among names, each but the first is a column of 0 and 1.
    """
    names: list[str] = []
    columns: list[Array] = []
    for key in dict.fromkeys(key for config in configs for key in config):
        values = [config.get(key) for config in configs]
        distinct = list(dict.fromkeys(values))
        if len(distinct) < 2:
            continue
        if all(isinstance(v, int | float) and not isinstance(v, bool) for v in distinct):
            _, ranks = np.unique(np.asarray(values, dtype=float), return_inverse=True)
            columns.append(ranks / ranks.max())
            names.append(key)
            continue
        for value in sorted(distinct, key=repr)[1:]:
            columns.append(np.array([float(other == value) for other in values]))
            names.append(key)
    stacked = np.column_stack(columns) if columns else np.zeros((len(configs), 0))
    return UnitColumns(tuple(names), stacked)


def over_levels(
    x: Float[np.ndarray, "trials columns"],
    levels: Sequence[int],
    scores: Sequence[float],
    places: Sequence[float],
) -> Float[np.ndarray, "trials levels"]:
    """Return what each trial's configuration would come to at every level, by the surface.

    Args:
        x: Hyperparameters of each trial, from 0 to 1.
        levels: Of each trial.
        scores: Of each trial, of any unit.
        places: Of each level, such as its log factor.
    """
    y = np.asarray(scores, dtype=float)
    # Nothing differs, so nothing is known to differ.
    if y.std() == 0.0:
        return np.repeat(y[:, None], len(places), axis=1)
    surface = _fit(x, levels, y, places)
    predicted = np.empty((len(y), len(places)))
    for level in range(len(places)):
        far = np.repeat(surface.from_level(level)[None, :], len(y), axis=0)
        predicted[:, level] = _Parts(surface.parts.of_x, far).covariance(surface.logs) @ (
            surface.weights
        )
    return y.mean() + y.std() * predicted


@dataclass(frozen=True)
class Gains:
    """What each trial's configuration gains on another one, by the surface."""

    mean: Float[np.ndarray, "trials levels"]
    sd: Float[np.ndarray, "trials levels"]  # of what is known of that gain
    sd_over_levels: Float[np.ndarray, " trials"]  # of the mean gain over the levels


def gains_on(
    x: Float[np.ndarray, "trials columns"],
    levels: Sequence[int],
    scores: Sequence[float],
    places: Sequence[float],
    reference: int,
) -> Gains:
    """Return what each trial's configuration gains on that of trial `reference`, level by level.

    A gain is a difference of two values of one surface, so what the context does to both is not in
    it, and it is known the better the nearer the two are.

    Args:
        x: Hyperparameters of each trial, from 0 to 1.
        levels: Of each trial.
        scores: Of each trial, of any unit.
        places: Of each level, such as its log factor.
        reference: Number of a trial whose configuration the others are compared with.
    """
    y = np.asarray(scores, dtype=float)
    shape = (len(y), len(places))
    if y.std() == 0.0:
        return Gains(np.zeros(shape), np.zeros(shape), np.zeros(len(y)))
    surface = _fit(x, levels, y, places)
    everywhere, here = np.exp(surface.logs[:2])
    alike = surface.parts.matern(surface.logs)
    far = np.array([surface.from_level(level) for level in range(len(places))])
    with_trials = surface.parts.gaussian(far, surface.logs)  # levels x trials
    between = np.abs(surface.places[:, None] - surface.places[None, :])
    with_levels = surface.parts.gaussian(between, surface.logs)
    mean, sd, over = np.zeros(shape), np.zeros(shape), np.zeros(len(y))
    for trial in range(len(y)):
        cross = (alike[trial] - alike[reference])[None, :] * (everywhere + here * with_trials)
        prior = 2 * (1 - alike[trial, reference]) * (everywhere + here * with_levels)
        left = prior - cross @ cho_solve(surface.factor, cross.T)
        mean[trial] = cross @ surface.weights
        sd[trial] = np.sqrt(np.maximum(np.diag(left), 0.0))
        over[trial] = np.sqrt(max(float(left.mean()), 0.0))
    scale = float(y.std())
    return Gains(scale * mean, scale * sd, scale * over)


@dataclass(frozen=True)
class Shares:
    """Of what the variance of the scores consists, by the surface; the parts make up 1."""

    factor: float
    hyperparameters: float
    interaction: float


def shares(surface: Float[np.ndarray, "configs levels"]) -> Shares | None:
    """Return the shares of a surface's variance over configurations and levels, as ANOVA has them.

    None where the surface is flat.
    """
    centred = surface - surface.mean()
    total = float((centred**2).mean())
    if total == 0.0:
        return None
    factor = float((centred.mean(axis=0) ** 2).mean()) / total
    hyperparameters = float((centred.mean(axis=1) ** 2).mean()) / total
    return Shares(factor, hyperparameters, max(0.0, 1.0 - factor - hyperparameters))


@dataclass(frozen=True)
class _Parts:
    of_x: Array  # distances
    of_t: Array

    def covariance(self, logs: Array) -> Array:
        everywhere, here, context = np.exp(logs[:3])
        matern, gaussian = self.matern(logs), self.gaussian(self.of_t, logs)
        return everywhere * matern + here * matern * gaussian + context * gaussian

    def matern(self, logs: Array) -> Array:
        scaled = np.sqrt(5.0) * self.of_x / np.exp(logs[4])
        return (1 + scaled + scaled**2 / 3) * np.exp(-scaled)

    def gaussian(self, of_t: Array, logs: Array) -> Array:
        return np.exp(-0.5 * (of_t / np.exp(logs[5])) ** 2)


@dataclass(frozen=True)
class _Fitted:
    """A surface that was fitted to trials, whose scores have mean 0 and variance 1."""

    parts: _Parts
    logs: Array
    factor: tuple[Array, bool]  # of the covariance of the trials, with their noise
    weights: Array  # of the trials in what is predicted
    places: Array  # of the levels, from 0 to 1
    of_trial: Array  # place of each trial

    def from_level(self, level: int) -> Array:
        """Return the distance of each trial's place from a level's."""
        return np.abs(self.places[level] - self.of_trial)


def _fit(x: Array, levels: Sequence[int], y: Array, places: Sequence[float]) -> _Fitted:
    t = _unit(places)
    of_trial = t[np.asarray(levels, dtype=int)]
    parts = _Parts(_distance(x, x), np.abs(of_trial[:, None] - of_trial[None, :]))
    unit = (y - y.mean()) / y.std()
    logs = _most_probable(parts, unit)
    noise = np.exp(logs[3]) * np.eye(len(y))
    factor = cho_factor(parts.covariance(logs) + noise)
    return _Fitted(parts, logs, factor, cho_solve(factor, unit), t, of_trial)


def _most_probable(parts: _Parts, y: Array) -> Array:
    def loss(logs: Array) -> float:
        noisy = parts.covariance(logs) + (np.exp(logs[3]) + 1e-8) * np.eye(len(y))
        factor, lower = cho_factor(noisy, lower=True)
        fit = float(y @ cho_solve((factor, lower), y)) / 2
        prior = float((((logs - _CENTRE) / _WIDTH) ** 2).sum()) / 2
        return fit + float(np.log(np.diag(factor)).sum()) + prior

    found = minimize(loss, _CENTRE, method="L-BFGS-B", bounds=[(c - 5, c + 5) for c in _CENTRE])
    return np.asarray(found.x)


def _distance(one: Array, other: Array) -> Array:
    # By the root of the number of columns, so that a length means the same for few and for many.
    squares = ((one[:, None, :] - other[None, :, :]) ** 2).sum(axis=2)
    return np.sqrt(squares / max(1, one.shape[1]))


def _unit(places: Sequence[float]) -> Array:
    values = np.asarray(places, dtype=float)
    width = float(np.ptp(values))
    return (values - values.min()) / width if width else np.zeros(len(values))
