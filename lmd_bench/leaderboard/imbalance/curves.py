"""Metrics on test against the imbalance factor, for every method: a tidy frame, and curves.

The repeats of one search are one method at each factor, as in the leaderboard: their mean.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isnan
from typing import Any

import pandas as pd

from lmd_bench.core.schema import Row
from lmd_bench.core.text import encoder_label, factor_name
from lmd_bench.leaderboard.studies.group import StudyRows, by_task, repeated, study_label
from lmd_bench.leaderboard.studies.rules import SelectionRule
from lmd_bench.leaderboard.studies.scores import (
    COMPUTED,
    STORED,
    metric_spreads,
)
from lmd_bench.leaderboard.tables.text import Part, Table
from lmd_bench.stats.metrics import METRICS
from lmd_bench.stats.spread import Spread, pooled, spread
from lmd_bench.store.from_logits import scores_on_test
from lmd_bench.store.store import Store

Line = dict[str, Any]
_REPEATED = (
    " Where a search was repeated, the mean is that over its repeats, and the SD that within one."
)
_FAMILY = ("dataset", "protocol", "image_size", "split_seed", "n_max")  # all of a task but factor
COLUMNS = (
    *("family", *_FAMILY, "imbalance_factor", "measured_factor", "n_train", "n_largest"),
    *("task", "method", "label"),
    *("metric", "higher_is_better", "mean", "sd", "n_searches", "n_seeds", "n_undefined"),
)


@dataclass(frozen=True, eq=False)
class Point:
    """One method at one factor."""

    factor: float  # largest over smallest training class, as measured
    name: str  # of the factor, as tables call it
    # of each search, seed -> metric on test; empty where nothing is confirmed
    searches: tuple[Mapping[int, float], ...]
    repeats: tuple[StudyRows, ...]  # the searches

    @property
    def task(self) -> str:
        """Return the task, as tables call it."""
        return self.repeats[0].task

    @cached_property
    def scores(self) -> Mapping[int, float]:
        """Return the score of each retraining seed; of one that searches share, the first's."""
        return {seed: value for scores in self.searches[::-1] for seed, value in scores.items()}

    @cached_property
    def spread(self) -> Spread:
        """Return mean, SD (n - 1) within a search and count over the retraining seeds."""
        return pooled([spread(list(scores.values())) for scores in self.searches])


Curve = tuple[Point, ...]  # by rising factor
Curves = dict[str, dict[str, Curve]]  # family of tasks -> method -> curve


def imbalance_frame(
    studies: Sequence[StudyRows], rule: SelectionRule, store: Store | None = None
) -> pd.DataFrame:
    """Return one line for each method and metric: mean, SD (n - 1) and count over seeds on test.

    A metric that is undefined for some seeds, or of which nothing was stored, has NaN, and
    `n_undefined` says for how many.

    Tasks of one `family` differ in nothing but the imbalance factor: they are one curve of each
    method. A study without confirmed runs has NaN and 0 seeds; one that nothing was asked of, as it
    only lends its encoders, has no line. `measured_factor` is the ratio of the largest to the
    smallest training class that is not empty, which `natural` data have too. The repeats of one
    search have one line: the mean over searches, with the SD within one.

    Args:
        studies: Of any number of tasks.
        rule: What selects the configuration of each study.
        store: Where logits lie; None leaves out the metrics that rows of earlier versions lack.
    """
    names = STORED if store is None else (*STORED, *COMPUTED)
    lines: list[Line] = []
    for place, repeats in _places(studies, rule):
        of_searches = [
            metric_spreads(list(study.ok_runs(study.selected(rule)).values()), names, store)
            for study in repeats
        ]
        for name in names:
            whole = pooled([scores[name].spread for scores in of_searches])
            lines.append(
                {
                    **place,
                    "metric": name,
                    "higher_is_better": METRICS[name].higher_is_better,
                    "mean": whole.mean,
                    "sd": whole.sd,
                    "n_searches": len(repeats),
                    "n_seeds": whole.n,
                    "n_undefined": sum(scores[name].n_undefined for scores in of_searches),
                }
            )
    frame = pd.DataFrame(lines, columns=pd.Index(COLUMNS))
    return frame.sort_values(["family", "label", "metric", "measured_factor"], ignore_index=True)


def imbalance_text(frame: pd.DataFrame, metric: str, rule: SelectionRule) -> list[Part]:
    """Return one metric as text: for each family of tasks, methods against imbalance factors."""
    better = "higher" if METRICS[metric].higher_is_better else "lower"
    lines: list[Part] = [
        f"Test {metric}, {better} is better; mean ± SD over the retraining seeds of the "
        f"configuration that {rule.name} selects at each factor (fractions; nll in nats). Not the "
        "factor alone changes: below it stand the images of train and of its largest class."
        + (_REPEATED if (frame["n_searches"] > 1).any() else "")
    ]
    chosen = frame[frame["metric"] == metric]
    for family, part in chosen.groupby("family", sort=False):
        tasks = part.drop_duplicates("task").sort_values("measured_factor")
        header = ["method", *(_factor_head(row) for row in tasks.to_dict("records"))]
        rows: list[list[str]] = []
        for label, curve in part.groupby("label", sort=False):
            cells = {row["task"]: _cell(row) for row in curve.to_dict("records")}
            rows.append([str(label), *(cells.get(task, "–") for task in tasks["task"])])
        lines += ["", str(family), Table(header, rows)]
    return lines


def measured_name(row: Mapping[Any, Any]) -> str:
    """Return what the factor of a line is called."""
    name = factor_name(row["imbalance_factor"], "IF ")
    return f"natural ({row['measured_factor']:.3g})" if name == "natural" else name


def _factor_head(row: Mapping[Any, Any]) -> str:
    return f"{measured_name(row)}\n{row['n_train']} train\nlargest {row['n_largest']}"


def place_of(study: StudyRows, row: Row) -> Line:
    """Return what a line says of the task and method of a study; `row` is any of its `ok` rows."""
    counts = [count for count in row["class_counts"] if count > 0]
    n_max = "" if row["n_max"] is None else f" · n_max {row['n_max']}"
    split = f" · split {row['split_seed']}" if row["split_seed"] else ""
    size = f" · {row['image_size']} px" if row["image_size"] else ""  # features have none
    encoder = f" · {label}" if (label := encoder_label(row)) else ""
    return {
        "family": f"{row['dataset']} · {row['protocol']}{n_max}{split}{size}{encoder}",
        **{name: row[name] for name in _FAMILY},
        "imbalance_factor": row["imbalance_factor"],
        "measured_factor": max(counts) / min(counts) if counts else float("nan"),
        "n_train": sum(counts),
        "n_largest": max(counts, default=0),
        "task": study.task,
        "method": study.method,
        "label": study.label,
    }


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
    for place, repeats in _places(studies, rule):
        searches = tuple(
            {
                seed: scores_on_test(row, (metric,), store)[metric]
                for seed, row in study.ok_runs(study.selected(rule)).items()
            }
            for study in repeats
        )
        point = Point(place["measured_factor"], measured_name(place), searches, repeats)
        found.setdefault(place["family"], {}).setdefault(place["label"], []).append(point)
    return {
        family: {
            label: tuple(sorted(points, key=lambda point: point.factor))
            for label, points in sorted(curves.items())
        }
        for family, curves in sorted(found.items())
    }


def _places(
    studies: Sequence[StudyRows], rule: SelectionRule
) -> list[tuple[Line, tuple[StudyRows, ...]]]:
    """Return the place of each method at each factor, with the searches there that are one.

    A label is the same at all factors, as it is what makes a curve: that of a study names its task.
    """
    known = [(study, study.selected(rule)) for study in studies if study.is_confirmed]
    rows = {study: row for study, row in known if row is not None}
    places = [
        (place_of(repeats[0], rows[repeats[0]]), repeats)
        for members in by_task(rows).values()
        for repeats in repeated(members)
    ]
    at_once = Counter((place["task"], place["method"]) for place, _ in places)
    several = {
        (place["family"], place["method"])
        for place, _ in places
        if at_once[place["task"], place["method"]] > 1
    }
    labels: dict[tuple[str, ...], str] = {}
    for place, repeats in places:
        family, method = place["family"], place["method"]
        place["label"] = method
        if (family, method) in several:
            # Searches of unlike kinds: what repeats one at another factor is of its kind.
            kind = rows[repeats[0]].get("repeat_of") or repeats[0].label
            name = study_label(method, repeats[0].study, len(places))
            place["label"] = labels.setdefault((family, method, kind), name)
    return places


def _cell(row: Mapping[Any, Any]) -> str:
    if isnan(row["mean"]):
        return "–"
    return f"{row['mean']:.3f}" + ("" if isnan(row["sd"]) else f" ± {row['sd']:.3f}")
