"""Portfolios: configurations that did well in earlier results, tried right after the default.

`search_spaces/portfolio.yaml` is shipped; `lmd-bench portfolio learn` writes such a file. It names
configurations by pair of stages and by what decides the ranges: how much of the encoder is trained,
by which optimiser, from weights or from random. A data set is never searched with what was learned
on it: for each that a file was learned from it also holds what the others alone give.

Papers: Wistuba et al., Sequential Model-free Hyperparameter Tuning, 2015 (portfolios built greedily
from earlier results); Feurer et al., Auto-sklearn 2.0, 2022, section 3 (as the start of a search).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

from lmd_bench.core import paths
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import NO_CALIBRATION, Config, Scalar, canonical_json
from lmd_bench.core.yaml_text import read_yaml
from lmd_bench.methods.catalogue import Method, resolve_method
from lmd_bench.methods.space import Space, search_space
from lmd_bench.search.options import NO_POINTS, SHIPPED
from lmd_bench.search.proposing.points import Points, read_points
from lmd_bench.search.proposing.ranges import contains

LEAST_TRIALS = 8  # of a stage, below which a search is left as it is
PART = 4  # a block takes one of so many trials, at most
UNKNOWN_BUDGET = 4  # configs tried where the budget is hours
Configs = tuple[Config, ...]  # of the settings that a stage searches


@dataclass(frozen=True, order=True)
class Regime:
    """How an encoder is trained; ranges depend on it."""

    tune: str
    optimiser: str
    from_weights: bool

    @property
    def settings(self) -> dict[str, Scalar]:
        """Return it as settings."""
        return {
            "training.tune": self.tune,
            "training.optimiser": self.optimiser,
            "training.pretrained": self.from_weights,
        }


def regime_of(config: Config) -> Regime:
    """Return the regime of a complete config."""
    from_weights = bool(config["training.pretrained"] or config["training.weights"])
    return Regime(str(config["training.tune"]), str(config["training.optimiser"]), from_weights)


@dataclass(frozen=True, order=True)
class Unit:
    """What configurations are learned for: the stage that a study searches, in a regime."""

    representation: str
    calibration: str
    regime: Regime

    @property
    def space(self) -> Space:
        """Return what is searched: stage 1 where there is no calibration, else stage 2 alone."""
        stage1 = ("training", self.representation)
        sections = stage1 if self.calibration == NO_CALIBRATION else (self.calibration,)
        return search_space(sections, self.regime.settings)


@dataclass(frozen=True)
class Entry:
    """What was learned for a unit; the first configuration alone gains most."""

    unit: Unit
    configs: Configs
    without: Mapping[str, Configs]  # data set -> what all others give


@dataclass(frozen=True)
class Portfolio:
    """What was learned for all units."""

    entries: tuple[Entry, ...] = ()
    is_shipped: bool = True
    source: str = field(default="", compare=False)  # the file, as people know it

    def block(
        self,
        method: Method,
        default: Config,
        space: Space,
        datasets: Collection[str],
        *,
        staged: bool,
    ) -> Configs:
        """Return the complete configs that a study tries, best first.

        Args:
            method: Whose study it is. One with settings of its own is another than its pair.
            default: Its complete default config.
            space: Of the study; what lies outside is left away.
            datasets: Names under which the images of its task go.
            staged: Whether it searches stage 2 alone.
        """
        if method.settings or method.searched:
            return ()
        regime = regime_of(default)
        stage1 = self._learned(Unit(method.representation, NO_CALIBRATION, regime), datasets)
        stage2 = self._learned(Unit(method.representation, method.calibration, regime), datasets)
        if method.calibration == NO_CALIBRATION:
            listed = stage1
        elif staged:
            listed = stage2
        else:
            both = zip_longest(stage1, stage2, fillvalue={})
            listed = tuple({**one, **other} for one, other in both)
        searched = ({k: v for k, v in config.items() if k in space} for config in listed)
        inside = [
            {**default, **config}
            for config in searched
            if all(contains(space[key], value) for key, value in config.items())
        ]
        distinct = {canonical_json(config): config for config in inside if config != dict(default)}
        return tuple(distinct.values())

    def _learned(self, unit: Unit, datasets: Collection[str]) -> Configs:
        entry = next((entry for entry in self.entries if entry.unit == unit), None)
        if entry is None:
            return ()
        same = [name for name in entry.without if name in datasets]
        if not same:
            return entry.configs
        return entry.without[same[0]] if len(same) == 1 else ()


def most_of_block(n_trials: int | None, n_levels: int = 1) -> int:
    """Return how many trials of a study a portfolio may take: a quarter, of small studies none.

    Args:
        n_trials: Budget of one stage; None: hours, so not known beforehand.
        n_levels: Imbalance factors, at each of which the default is run first.
    """
    if n_trials is None:
        return UNKNOWN_BUDGET
    free = n_trials - (n_levels - 1)
    return free // PART if free >= LEAST_TRIALS else 0


def first_tried(asked: Path) -> tuple[Points, Portfolio | None]:
    """Return the points and the portfolio of --points.

    Raises:
        UserError: a file that holds neither.
    """
    if str(asked) == SHIPPED:
        return (), shipped()
    if str(asked) == NO_POINTS:
        return (), None
    data = read_yaml(asked, "points file")
    if isinstance(data, dict) and "portfolio" in data:
        return (), Portfolio(_entries(data, asked), is_shipped=False, source=str(asked))
    return read_points(asked), Portfolio()


@cache
def shipped() -> Portfolio:
    """Return the shipped portfolio.

    Raises:
        UserError: its file was changed, and does not fit the search spaces.
    """
    return Portfolio(read_portfolio(default_file()), source=str(default_file()))


def default_file() -> Path:
    """Return where the shipped portfolio lies."""
    return paths.search_spaces() / "portfolio.yaml"


def read_portfolio(path: Path) -> tuple[Entry, ...]:
    """Return the entries of a file.

    Raises:
        UserError: no such file, or it holds what is no portfolio, an unknown stage, or a value that
            is not in the search space.
    """
    return _entries(read_yaml(path, "portfolio"), path)


def _entries(data: Any, path: Path) -> tuple[Entry, ...]:
    listed = data.get("portfolio") if isinstance(data, dict) else None
    if not isinstance(listed, list):
        raise _broken(path, "it has no list under `portfolio`")
    return tuple(_entry(entry, path) for entry in listed)


def _entry(entry: Any, path: Path) -> Entry:
    names = ("representation", "calibration", "tune", "optimiser", "from_weights")
    if not isinstance(entry, dict) or set(entry) != {*names, "configs", "without"}:
        raise _broken(path, f"an entry has other names than {', '.join(names)}, configs, without")
    representation, calibration, *regime = (entry[name] for name in names)
    resolve_method(f"{representation}+{calibration}")
    unit = Unit(representation, calibration, Regime(*regime))
    space, without = unit.space, entry["without"]
    if not isinstance(without, dict):
        raise _broken(path, "`without` is no mapping of data sets")
    return Entry(
        unit,
        _configs(entry["configs"], space, unit, path),
        {str(name): _configs(configs, space, unit, path) for name, configs in without.items()},
    )


def _configs(listed: Any, space: Space, unit: Unit, path: Path) -> Configs:
    if not isinstance(listed, list) or not all(isinstance(config, dict) for config in listed):
        raise _broken(path, "what should be configs is no list of mappings")
    for key, value in _settings(listed):
        of = f"{unit.representation}+{unit.calibration} with training.tune={unit.regime.tune}"
        if key not in space:
            raise _broken(path, f"{key} is not searched for {of}")
        if not contains(space[key], value):
            raise _broken(path, f"{key}: {value} for {of} lies outside its range, {space[key]}")
    return tuple(listed)


def _settings(listed: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, Any]]:
    return (setting for config in listed for setting in config.items())


def _broken(path: Path, why: str) -> UserError:
    return UserError(
        f"The portfolio {path} cannot be used: {why}; learn it anew with lmd-bench portfolio learn."
    )
