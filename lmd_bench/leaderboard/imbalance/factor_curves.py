"""Curves over imbalance factors: the score of each seed of each method, task by task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from lmd_bench.leaderboard.imbalance.curves import factor_name, place_of
from lmd_bench.leaderboard.studies.group import StudyRows
from lmd_bench.leaderboard.studies.rules import SelectionRule
from lmd_bench.leaderboard.studies.scores import run_scores
from lmd_bench.stats.spread import Spread, spread
from lmd_bench.store.store import Store


@dataclass(frozen=True, eq=False)
class Point:
    """One method at one factor."""

    factor: float  # largest over smallest training class, as measured
    name: str  # of the factor, as tables call it
    scores: Mapping[int, float]  # seed -> metric on test; empty where nothing is confirmed
    study: StudyRows

    @cached_property
    def spread(self) -> Spread:
        """Return mean, SD (n - 1) and count over the retraining seeds."""
        return spread(list(self.scores.values()))


Curve = tuple[Point, ...]  # by rising factor
Curves = dict[str, dict[str, Curve]]  # family of tasks -> method -> curve


def factor_curves(
    studies: Sequence[StudyRows], rule: SelectionRule, metric: str, store: Store | None
) -> Curves:
    """Return the curves of all families, the same points as `imbalance_frame` has.

    Args:
        studies: Of any number of tasks.
        rule: What selects the configuration of each study.
        metric: On test.
        store: Where logits lie, for a metric that is computed from them.
    """
    found: dict[str, dict[str, list[Point]]] = {}
    for study in studies:
        selected = study.selected(rule)
        if selected is None or not study.is_confirmed:
            continue
        runs = study.ok_runs(selected)
        scores = {seed: run_scores(row, (metric,), store)[metric] for seed, row in runs.items()}
        place = place_of(study, selected)
        point = Point(place["measured_factor"], factor_name(place), scores, study)
        found.setdefault(place["family"], {}).setdefault(study.label, []).append(point)
    return {
        family: {
            label: tuple(sorted(points, key=lambda point: point.factor))
            for label, points in sorted(curves.items())
        }
        for family, curves in sorted(found.items())
    }
