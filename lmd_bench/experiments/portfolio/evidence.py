"""What stored searches say of each configuration of a stage: trials, and a surrogate through them.

Only search rows are read, and of them val alone.
"""

import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from optuna.distributions import CategoricalDistribution

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import NO_CALIBRATION, TASK_COLUMNS, Config, Row, TaskSpec, complete
from lmd_bench.core.text import task_slug
from lmd_bench.data.datasets import images_of
from lmd_bench.methods.catalogue import resolve_method
from lmd_bench.methods.settings import default_config
from lmd_bench.methods.space import Space, place_of
from lmd_bench.search.jobs import value_of
from lmd_bench.search.proposing.portfolio import Unit, regime_of
from lmd_bench.search.proposing.ranges import contains
from lmd_bench.store.store import open_store

N_LEAST = 8  # trials of a study that ended well
_NEEDED = (
    *("study", "phase", "status", "representation", "calibration", "trial_number", "is_default"),
    *("encoder_rank", "config_json", "val_balanced_accuracy", "factor_range", "git_commit"),
    *("encoder", "features", "n_epochs", *TASK_COLUMNS),
)
# What the encoder is, and how it is held, is no part of what is learned.
_OF_ENCODER = frozenset(
    f"training.{name}"
    for name in (
        *("backbone", "weights", "features", "stem", "n_views", "lora_rank"),
        *("compile", "precision"),
    )
)


@dataclass(frozen=True)
class Tried:
    """One configuration of a stage, and what it came to."""

    config: Config  # of the settings that the stage searches
    rank: int  # of the encoder that it stood on; 1 in stage 1
    value: float  # val balanced accuracy


@dataclass(frozen=True)
class Evidence:
    """The trials of the studies of one unit on one task and encoder."""

    unit: Unit
    task: str  # with its encoder
    images: frozenset[str]  # names of the data sets that its images are of
    tried: tuple[Tried, ...]
    default: Tried
    commits: frozenset[str]

    @cached_property
    def surrogate(self) -> "Surrogate":
        """Return what is known of configurations that were not tried."""
        return Surrogate(self.unit.space, self.tried)


class Surrogate:
    """A Gaussian process through the trials of a study: Matern 5/2, a length a setting, noise.

    Bounds on the lengths and the noise keep it from following the noise of so few trials.

    Book: Rasmussen and Williams, Gaussian processes for machine learning, 2006, chapters 2 and 5.
    """

    def __init__(self, space: Space, tried: Sequence[Tried]) -> None:
        """Fit it; what was tried is noisy too, so it is smoothed there as well."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

        self._space = space
        self._n_ranks = max(trial.rank for trial in tried)
        x = np.array([self._point(trial.config, trial.rank) for trial in tried])
        ones: Any = np.ones(x.shape[1])  # typed as one number, and documented as these as well
        lengths = Matern(ones, (0.5, 5.0), nu=2.5)
        kernel = ConstantKernel(1.0, (0.1, 10.0)) * lengths + WhiteKernel(0.1, (0.03, 1.0))
        self._process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
        with warnings.catch_warnings():
            # A length or noise at its bound says that settings matter little.
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._process.fit(x, np.array([trial.value for trial in tried]))

    def predict(
        self, configs: Sequence[Config], ranks: Sequence[int] | None = None
    ) -> Float[np.ndarray, " configs"]:
        """Return the val score that each configuration would come to.

        Args:
            configs: Of the settings that the stage searches.
            ranks: Of their encoders; None: all stand on the best.
        """
        return np.asarray(self._process.predict(self._points(configs, ranks)))

    def sample(
        self, configs: Sequence[Config], ranks: Sequence[int], n: int
    ) -> Float[np.ndarray, "draws configs"]:
        """Return what the configurations may come to together, `n` times, always the same.

        Args:
            configs: Of the settings that the stage searches.
            ranks: Of their encoders.
            n: Draws.
        """
        draws = self._process.sample_y(self._points(configs, ranks), n, random_state=0)
        return np.asarray(draws).T

    def _points(
        self, configs: Sequence[Config], ranks: Sequence[int] | None
    ) -> Float[np.ndarray, "configs columns"]:
        of = ranks or [1] * len(configs)
        return np.array([self._point(*pair) for pair in zip(configs, of, strict=True)])

    def _point(self, config: Config, rank: int) -> list[float]:
        point = [(rank - 1) / max(1, self._n_ranks - 1)]
        for key, within in self._space.items():
            if isinstance(within, CategoricalDistribution):
                # Two names are 1 apart, as the two ends of a range are.
                point += [(config[key] == choice) / sqrt(2) for choice in within.choices]
            else:
                point.append(place_of(within, config[key]))
        return point


def read_evidence(folders: Iterable[Path]) -> tuple[list[Evidence], list[str]]:
    """Return what the studies of some results folders say, and why others say nothing.

    Raises:
        UserError: no results in a folder, or no study that says anything.
    """
    studies: dict[str, dict[str, Row]] = {}
    for folder in folders:
        for row in open_store(folder).scan(_NEEDED).table.to_pylist():
            if row["phase"] == "search":
                studies.setdefault(row["study"], {})[row["key"]] = row
    evidence: list[Evidence] = []
    reasons: dict[str, list[str]] = {}
    for name, rows in sorted(studies.items()):
        read = _evidence(sorted(rows.values(), key=lambda row: (row["trial_number"], row["key"])))
        if isinstance(read, Evidence):
            evidence.append(read)
        else:
            reasons.setdefault(read, []).append(name)
    left_out = [_left_out(reason, names) for reason, names in sorted(reasons.items())]
    if not evidence:
        why = f" ({'; '.join(left_out)})" if left_out else ""
        raise UserError(
            f"No study there can be learned from{why}; name a results folder with searches of "
            f"{N_LEAST} trials or more."
        )
    return _joined(evidence), left_out


def _left_out(reason: str, names: Sequence[str]) -> str:
    others = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{reason}: {names[0]}{others}"


def _joined(evidence: Iterable[Evidence]) -> list[Evidence]:
    """Return studies of one unit on one task as one, so that such a task counts once."""
    joined: dict[tuple[Unit, str], Evidence] = {}
    for study in evidence:
        first = joined.setdefault((study.unit, study.task), study)
        if first is not study:
            joined[study.unit, study.task] = replace(
                first, tried=first.tried + study.tried, commits=first.commits | study.commits
            )
    return list(joined.values())


def _evidence(rows: Sequence[Row]) -> Evidence | str:
    """Return what a study says, or why it says nothing."""
    default = next((row for row in rows if row["is_default"] and value_of(row) is not None), None)
    if default is None:
        return "its default has no score"
    if any(row["factor_range"] for row in rows):
        return "it draws the imbalance factor"
    config = complete(json.loads(default["config_json"]))
    unit = Unit(default["representation"], default["calibration"], regime_of(config))
    space = unit.space
    staged = unit.calibration != NO_CALIBRATION
    if staged and default["encoder_rank"] is None:
        return "it searches both stages together"
    if not _is_plain(unit, config):
        return "its method has settings of its own"
    tried: dict[str, Tried] = {}
    for row in rows:
        values = complete(json.loads(row["config_json"]))
        own = {key: values[key] for key in space}
        score = value_of(row)
        inside = all(contains(within, own[key]) for key, within in space.items())
        if score is not None and inside:
            tried[row["key"]] = Tried(own, int(row["encoder_rank"] or 1), score)
    if len(tried) < N_LEAST:
        return f"{len(tried)} trials ended well, and {N_LEAST} are needed"
    fixed = [key for key in space if len({trial.config[key] for trial in tried.values()}) == 1]
    if fixed:
        return f"{fixed[0]} is fixed in it"
    if default["key"] not in tried:
        return "its default lies outside the search space"
    task = TaskSpec(**{name: default[name] for name in TASK_COLUMNS if name != "task_fingerprint"})
    encoder = f"{default['encoder']}, {default['features']}, {default['n_epochs']} epochs"
    return Evidence(
        unit=unit,
        task=f"{task_slug(task, default['task_fingerprint'])} on {encoder}",
        images=images_of(task.dataset),
        tried=tuple(tried.values()),
        default=tried[default["key"]],
        commits=frozenset(row["git_commit"] for row in rows if row["git_commit"]),
    )


def _is_plain(unit: Unit, config: Mapping[str, Any]) -> bool:
    """Say whether a default config is that of the pair, not of a method with settings of its own.

    What a person fixed for the stage counts as such a setting too.
    """
    method = resolve_method(f"{unit.representation}+{unit.calibration}")
    expected = default_config(method, unit.regime.settings)
    sections = ("training.", f"{unit.representation}.", f"{unit.calibration}.")
    of_stage = sections[:2] if unit.calibration == NO_CALIBRATION else sections[2:]
    return all(
        config.get(key) == value
        for key, value in expected.items()
        if key.startswith(of_stage) and key not in _OF_ENCODER
    )
