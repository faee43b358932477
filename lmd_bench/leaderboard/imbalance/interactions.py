"""What moves the val score in a study over a range: the factor, hyperparameters, or both together.

It answers whether the best hyperparameters of a method depend on the imbalance factor.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, log, nan
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from lmd_bench.core.schema import Row
from lmd_bench.leaderboard.imbalance.over_range import RangeStudy
from lmd_bench.leaderboard.tables.text import Part, Table, p_value
from lmd_bench.stats.interaction import Interactions, interactions
from lmd_bench.stats.surface import Shares, over_levels, shares, unit_columns

LEVEL = 0.05  # of the test over all hyperparameters of a study
COLUMNS = ("family", "method", "study", "n_trials", "part", "share", "p")


@dataclass(frozen=True, eq=False)
class RangeSurface:
    """The surface of one study: its val scores over hyperparameters and log factor."""

    study: RangeStudy
    trials: tuple[Row, ...]  # that have a score
    factors: tuple[float, ...]  # of the levels
    predicted: Float[np.ndarray, "trials levels"]
    shares: Shares | None
    test: Interactions | None  # None: too few trials to tell

    @property
    def interacting(self) -> list[str]:
        """Return the hyperparameters whose effect is shown to change with the factor."""
        if self.test is None:
            return []
        ordered = sorted(self.test.of_each.items(), key=lambda pair: pair[1])
        return [name for name, p in ordered if p <= LEVEL]

    def by_setting(self) -> list[tuple[str, list[tuple[str, list[float]]]]]:
        """Return for each setting what the surface predicts at each level, by groups of its values.

        Settings that move it most come first. A number is cut into low, middle and high thirds of
        the trials, anything else by its value.
        """
        configs = [json.loads(row["config_json"]) for row in self.trials]
        found: list[tuple[float, str, list[tuple[str, list[float]]]]] = []
        for name in dict.fromkeys(unit_columns(configs).names):
            values = [config.get(name) for config in configs]
            groups = [
                (label, self.predicted[members].mean(axis=0).tolist())
                for label, members in _thirds(values)
            ]
            moved = float(np.var([means for _, means in groups], axis=0).mean())
            found.append((moved, name, groups))
        return [(name, groups) for _, name, groups in sorted(found, key=lambda of: -of[0])]


def range_surface(study: RangeStudy) -> RangeSurface | None:
    """Return the surface of a study; None where fewer than three trials have a score."""
    trials = [row for row in study.trials if _score(row) is not None]
    if len(trials) < 3:
        return None
    factors = sorted({row["imbalance_factor"] for row in trials})
    level = {factor: place for place, factor in enumerate(factors)}
    columns = unit_columns([json.loads(row["config_json"]) for row in trials])
    scores = [float(row["val_balanced_accuracy"]) for row in trials]
    levels = [level[row["imbalance_factor"]] for row in trials]
    places = [log(factor) for factor in factors]
    predicted = over_levels(columns.values, levels, scores, places)
    found = interactions(columns, [places[at] for at in levels], scores)
    return RangeSurface(study, tuple(trials), tuple(factors), predicted, shares(predicted), found)


def _thirds(values: Sequence[Any]) -> list[tuple[str, list[int]]]:
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) < len(values) or len(set(numbers)) <= 3:
        distinct = sorted(set(values), key=repr)
        return [(str(v), [n for n, other in enumerate(values) if other == v]) for v in distinct]
    order = np.argsort(numbers, kind="stable")
    thirds = [part.tolist() for part in np.array_split(order, 3)]
    return [(f"{numbers[of[0]]:.3g} to {numbers[of[-1]]:.3g}", of) for of in thirds]


def _score(row: Row) -> float | None:
    value = row["val_balanced_accuracy"]
    return None if row["status"] != "ok" or value is None or isnan(value) else float(value)


def share_frame(surfaces: Sequence[RangeSurface]) -> pd.DataFrame:
    """Return one line for each part of each study's variance, and for each interaction tested.

    `share` is of the variance of the surface; `p` that the part is nothing, where it is tested.
    """
    lines: list[dict[str, Any]] = []
    for surface in surfaces:
        place = {
            "family": surface.study.family,
            "method": surface.study.method,
            "study": surface.study.study,
            "n_trials": len(surface.trials),
        }
        parts = {} if surface.shares is None else vars(surface.shares)
        of_all = nan if surface.test is None else surface.test.p
        for name, share in parts.items():
            p = of_all if name == "interaction" else nan
            lines.append({**place, "part": name, "share": share, "p": p})
        of_each = {} if surface.test is None else surface.test.of_each
        lines += [
            {**place, "part": f"factor x {name}", "share": nan, "p": p}
            for name, p in of_each.items()
        ]
    return pd.DataFrame(lines, columns=pd.Index(COLUMNS))


def share_text(surfaces: Sequence[RangeSurface]) -> list[Part]:
    """Return it as text; nothing for none."""
    if not surfaces:
        return []
    parts: list[Part] = [
        "What moves the val score over the range: shares of the variance of a surface over "
        "hyperparameters and log factor (a Gaussian process fitted to the trials), and p that the "
        "effect of no hyperparameter changes with the factor (permutations, over all of them)."
    ]
    for family in dict.fromkeys(surface.study.family for surface in surfaces):
        cells = [_cells(surface) for surface in surfaces if surface.study.family == family]
        header = ("method", "trials", "factor", "settings", "both", "p", "changes with the factor")
        parts += ["", family, Table(header, cells)]
    return parts


def _cells(surface: RangeSurface) -> list[str]:
    of = surface.shares
    shown = ["–"] * 3
    if of is not None:
        shown = [f"{100 * part:.0f} %" for part in (of.factor, of.hyperparameters, of.interaction)]
    names = ", ".join(surface.interacting) or "none shown"
    p = "–" if surface.test is None else p_value(surface.test.p)
    told = "too few trials to tell" if surface.test is None else names
    return [surface.study.method, str(len(surface.trials)), *shown, p, told]
