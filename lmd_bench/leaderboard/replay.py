"""The search replayed: what it would have selected, had its trials been drawn again.

The n - 1 trials beside the default are drawn anew from themselves, with replacement, the default is
kept, and the rule selects; the chance of each trial to be selected is exact. This takes trials as
exchangeable, which those of a learning sampler are not quite, and it knows nothing of better
configurations that were never tried. Its spread is
therefore a lower bound: in simulated searches it was right where scores pile up below a ceiling,
and about 0.6 of the true one where they are normal, at any number of trials; its mean is a little
low. Test is known of confirmed configurations alone: of the others this module gives the chance
that they would have been selected, and no score.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

import numpy as np

from lmd_bench.core.schema import Row
from lmd_bench.leaderboard.studies.group import StudyRows
from lmd_bench.leaderboard.studies.rules import SelectionRule, score


@dataclass(frozen=True)
class ProcedureSpread:
    """What a study's search gives when its trials are drawn again."""

    n_trials: int
    score_mean: float  # of the rule, for the selected configuration
    score_sd: float  # NaN below two trials beside the default
    known: float  # chance that the selected configuration is a confirmed one
    test_mean: float  # balanced accuracy on test of the selected configuration, where known
    test_sd: float

    @property
    def over(self) -> str:
        """Return what the spread is over, in words."""
        return (
            f"{self.n_trials} search trials drawn again; {100 * self.known:.0f} % of what would be "
            "selected is confirmed"
        )


def selection_chances(better_than_default: int, n_others: int, n_draws: int) -> list[float]:
    """Return the chance of each trial that beats the default to be selected, best first.

    Of n_others trials, drawn n_draws times with replacement, the r-th best (from 0) is selected
    with ((n - r)^m - (n - r - 1)^m) / n^m; what is left is the chance of the default.
    """
    n, m = n_others, n_draws
    return [((n - r) / n) ** m - ((n - r - 1) / n) ** m for r in range(better_than_default)]


def procedure_spread(study: StudyRows, rule: SelectionRule) -> ProcedureSpread | None:
    """Return the spread of a study's search; None without a trial that the rule can judge."""
    trials = study.trials
    ranked = _ranked(study, rule)
    if not ranked:
        return None
    default = study.default
    place = next((i for i, (_, row) in enumerate(ranked) if row is default), len(ranked))
    kept = int(default is not None)
    n_others = len(trials) - kept
    chances = selection_chances(min(place, n_others), n_others, n_others)
    rest = 1.0 - sum(chances)
    candidates = ranked[: place + 1] if place < len(ranked) else ranked
    # without a usable default, nothing is selected where only failed trials are drawn
    weights = [*chances, rest] if place < len(ranked) else chances
    scores = [value for value, _ in candidates]
    tests = [_test_mean(study, row) for _, row in candidates]
    mean, sd = _moments(scores, weights)
    test_mean, test_sd = _moments(tests, weights)
    if n_others < 2:  # one trial drawn from itself shows no spread
        sd = test_sd = float("nan")
    known = sum(w for w, test in zip(weights, tests, strict=True) if not isnan(test))
    return ProcedureSpread(len(trials), mean, sd, known / sum(weights), test_mean, test_sd)


def _ranked(study: StudyRows, rule: SelectionRule) -> list[tuple[float, Row]]:
    scored = [
        (value, row)
        for row in study.trials
        if (value := score(row, rule, study.runs(row))) is not None
    ]
    return sorted(scored, key=lambda pair: (-pair[0], pair[1]["trial_number"]))


def _test_mean(study: StudyRows, row: Row) -> float:
    values = [run["test_balanced_accuracy"] for run in study.ok_runs(row).values()]
    return float(np.mean(values)) if values else float("nan")


def _moments(values: Sequence[float], weights: Sequence[float]) -> tuple[float, float]:
    """Return the mean and standard deviation over the values that are known."""
    x, w = np.array(values), np.array(weights)
    known = ~np.isnan(x)
    if not known.any():
        return float("nan"), float("nan")
    x, w = x[known], w[known] / w[known].sum()
    mean = float(w @ x)
    return mean, float(np.sqrt(w @ (x - mean) ** 2))
