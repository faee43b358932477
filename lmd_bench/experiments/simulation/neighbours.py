"""Which stored trial stands for a proposed config: the nearest in the unit cube of the space.

Numbers are mapped to [0, 1] over their range, on a logarithmic scale where they are searched on
one; categories, the encoder among them, are 0 apart if equal and 1 if not. The distance is
Euclidean, so it is at most the root of the number of dimensions.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int64
from optuna.distributions import CategoricalDistribution

from lmd_bench.core.schema import Scalar
from lmd_bench.methods.space import Space, place_of


class Neighbours:
    """The stored configs of a study as points."""

    def __init__(self, space: Space, params: Sequence[Mapping[str, Scalar]]) -> None:
        """Take the searched values of each stored trial, in the order of the table."""
        self._space = space
        self._points = np.array([self._point(config) for config in params]).reshape(len(params), -1)
        self._categorical = np.array(
            [isinstance(within, CategoricalDistribution) for within in space.values()], dtype=bool
        )

    def distances(self, params: Mapping[str, Scalar]) -> Float[np.ndarray, " trials"]:
        """Return how far each stored trial is from a config."""
        apart = np.abs(self._points - self._point(params))
        apart[:, self._categorical] = apart[:, self._categorical] > 0
        return np.sqrt((np.where(np.isnan(apart), 1.0, apart) ** 2).sum(axis=1))

    def nearest(
        self, params: Mapping[str, Scalar], among: Int64[np.ndarray, " left"]
    ) -> tuple[int, float]:
        """Return the nearest trial among some and its distance; of equals the earlier trial."""
        distances = self.distances(params)[among]
        place = int(np.argmin(distances))
        return int(among[place]), float(distances[place])

    def _point(self, params: Mapping[str, Scalar]) -> Float[np.ndarray, " dimensions"]:
        values = [place_of(within, params.get(key)) for key, within in self._space.items()]
        return np.array(values, dtype=np.float64)
