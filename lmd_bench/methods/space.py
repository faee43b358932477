"""What a study may draw: ranges of `search_spaces/` as Optuna distributions."""

from collections.abc import Iterable, Mapping
from math import exp, log
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from lmd_bench.core import paths, plugins
from lmd_bench.core.errors import UserError, unknown
from lmd_bench.core.schema import Config, Scalar
from lmd_bench.methods.config import ON_STORED

Space = dict[str, BaseDistribution]


def search_space(
    sections: Iterable[str],
    fixed: Config | Iterable[str] = (),
    searched: Mapping[str, Mapping[str, Any]] | None = None,
) -> Space:
    """Return the distributions of some sections.

    Args:
        sections: `training` and names of stages.
        fixed: keys to leave out. Where it holds values, ranges are those of the optimiser that it
            names, of weights to start from, and of how much is trained.
        searched: of a method, whose ranges go before the sections' own.
    """
    values = dict(fixed) if isinstance(fixed, Mapping) else {}
    optimiser = str(values.get("training.optimiser", ""))
    tune = str(values.get("training.tune", "full"))
    loaded = bool(values.get("training.pretrained") or values.get("training.weights"))
    kinds = [optimiser, tune]
    if optimiser == "adamw":
        kinds += ["stored"] if tune in ON_STORED else ["loaded"] if loaded else []
        kinds += [tune]  # after those of weights, as updates of low rank take larger steps
    space: Space = {}
    for section in sections:
        for name, shipped in _read_ranges(section).items():
            key = f"{section}.{name}"
            entry = {**shipped, **(searched or {}).get(key, {})}
            for kind in kinds:
                entry |= entry.get(kind, {})
            if entry["type"] != "fixed" and key not in set(fixed):
                space[key] = _distribution(key, entry)
    return space


def place_of(within: BaseDistribution, value: Scalar | None) -> float:
    """Return a value's place in a range, 0 to 1 on the scale that is searched.

    Of what is chosen among names it is the number of the name. NaN where the value is none of them.
    """
    if isinstance(within, CategoricalDistribution):
        return float(within.choices.index(value)) if value in within.choices else float("nan")
    if value is None:
        return float("nan")
    assert isinstance(within, FloatDistribution | IntDistribution)
    low, high, at = float(within.low), float(within.high), float(value)
    if within.log:
        low, high, at = log(low), log(high), log(at)
    return (at - low) / (high - low) if high > low else 0.0


def value_at(within: FloatDistribution | IntDistribution, place: float) -> float | int:
    """Return the value at a place in a range of numbers, 0 to 1 on the scale that is searched."""
    low, high = float(within.low), float(within.high)
    if within.log:
        value = exp(log(low) + place * (log(high) - log(low)))
    else:
        value = low + place * (high - low)
    # Rounding may lead out of the range by the last digit.
    value = min(max(value, low), high)
    if isinstance(within, IntDistribution):
        return within.low + within.step * round((value - within.low) / within.step)
    return value


def _read_ranges(section: str) -> Mapping[str, Mapping[str, Any]]:
    if section == "training":
        return paths.search_space_file("training.yaml")
    kind = "representation" if section in plugins.names("representation") else "calibration"
    return plugins.space(kind, section)


def _distribution(key: str, entry: Mapping[str, Any]) -> BaseDistribution:
    for name in ("low", "high", "step"):
        if name in entry and isinstance(entry[name], str):
            raise UserError(
                f"Search space {key}: {name}: {entry[name]} is text, not a number; "
                "write scientific notation with a dot, 1.0e-5."
            )
    match entry["type"]:
        case "float":
            return FloatDistribution(entry["low"], entry["high"], log=entry.get("log", False))
        case "int":
            step = entry.get("step", 1)
            return IntDistribution(entry["low"], entry["high"], entry.get("log", False), step)
        case "categorical":
            return CategoricalDistribution(entry["choices"])
        case other:
            raise unknown(f"type of {key}", str(other), ["float", "int", "categorical", "fixed"])
