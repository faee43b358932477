"""What tuning gains, and how much of the variance of test scores method, tuning and seed explain.

The scores of one task are laid out as method x (default, tuned) x seed; only methods that have both
configurations confirmed on the seeds that all share are in it, so the design is balanced and its
sums of squares add up. eta^2 is the share of a main effect in the total; what is left, interactions
and noise together, is the residual: most of all, that tuning does not help every method alike.
Pure noise explains something as well, (levels - 1) / (cells - 1) on average: `by_chance` says it.
A method whose default was selected has the same runs in both places: tuning changed nothing.

Source: Cohen, Eta-squared and partial eta-squared in fixed factor ANOVA designs, 1973.
URL: https://doi.org/10.1177/001316447303300111
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from lmd_bench.core.schema import Row
from lmd_bench.leaderboard.studies.group import StudyRows
from lmd_bench.leaderboard.studies.rules import SelectionRule
from lmd_bench.stats.intervals import Interval, seed_interval

FACTORS = ("method", "tuning", "seed")
Design = Float[np.ndarray, "methods configs seeds"]


@dataclass(frozen=True)
class TuningGain:
    """Test balanced accuracy of the tuned configuration less the default's, on equal seeds."""

    label: str
    gain: float  # NaN where they share no seed that ended well
    interval: Interval  # over seeds
    n_seeds: int
    default_was_selected: bool


@dataclass(frozen=True)
class Explained:
    """Shares of the variance of one task's test scores; together 1."""

    eta_squared: dict[str, float]  # method, tuning, seed, residual; NaN where all scores are equal
    by_chance: dict[str, float]  # what they would be on average if scores were pure noise
    labels: tuple[str, ...]  # the methods in the design
    n_seeds: int
    left_out: tuple[str, ...]


def tuning_gain(study: StudyRows, rule: SelectionRule) -> TuningGain | None:
    """Return what tuning gained; None where nothing was selected, or there is no default."""
    selected, default = study.selected(rule), study.default
    if selected is None or default is None:
        return None
    tuned, plain = _scores(study, selected), _scores(study, default)
    shared = sorted(tuned.keys() & plain.keys())
    gains = [tuned[seed] - plain[seed] for seed in shared]
    return TuningGain(
        label=study.label,
        gain=float(np.mean(gains)) if gains else float("nan"),
        interval=seed_interval(gains),
        n_seeds=len(shared),
        default_was_selected=selected["key"] == default["key"],
    )


def explained(studies: Sequence[StudyRows], rule: SelectionRule) -> Explained | None:
    """Return the shares of the variance on one task; None below two methods or two seeds."""
    scores = {
        study.label: (_scores(study, study.default), _scores(study, study.selected(rule)))
        for study in studies
    }
    both = {label: plain.keys() & tuned.keys() for label, (plain, tuned) in scores.items()}
    most = max((len(seeds) for seeds in both.values()), default=0)
    labels = tuple(label for label, seeds in both.items() if seeds and len(seeds) == most)
    shared = sorted(set.intersection(*(set(both[label]) for label in labels))) if labels else []
    if len(labels) < 2 or len(shared) < 2:
        return None
    design = np.array(
        [[[config[seed] for seed in shared] for config in scores[label]] for label in labels]
    )
    left_out = tuple(label for label in scores if label not in labels and any(scores[label]))
    return Explained(
        eta_squared(design), shares_by_chance(design.shape), labels, len(shared), left_out
    )


def eta_squared(design: Design) -> dict[str, float]:
    """Return the share of each main effect, and of the rest, in the sum of squares.

    SS of a factor = (cells / levels) sum over its levels of (mean of the level - grand mean)^2.
    """
    grand = design.mean()
    total = float(((design - grand) ** 2).sum())
    shares: dict[str, float] = {}
    for axis, name in enumerate(FACTORS):
        others = tuple(other for other in range(3) if other != axis)
        level_means = design.mean(axis=others)
        squares = design.size / len(level_means) * float(((level_means - grand) ** 2).sum())
        shares[name] = squares / total if total > 0 else float("nan")
    return shares | {"residual": 1 - sum(shares.values())}


def shares_by_chance(shape: Sequence[int]) -> dict[str, float]:
    """Return the mean of `eta_squared` over designs of equal, independent, normal scores."""
    n_cells = int(np.prod(shape))
    shares = {
        name: (n_levels - 1) / (n_cells - 1) for name, n_levels in zip(FACTORS, shape, strict=True)
    }
    return shares | {"residual": 1 - sum(shares.values())}


def _scores(study: StudyRows, source: Row | None) -> dict[int, float]:
    return {
        seed: row["test_balanced_accuracy"]
        for seed, row in study.ok_runs(source).items()
        if row["test_balanced_accuracy"] is not None
    }
