"""Metrics on test against the imbalance factor, for every method: a tidy frame, and curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isnan
from typing import Any

import pandas as pd

from lmd_bench.core.schema import Row
from lmd_bench.core.text import encoder_label, factor_name
from lmd_bench.leaderboard.studies.group import StudyRows
from lmd_bench.leaderboard.studies.rules import SelectionRule
from lmd_bench.leaderboard.studies.scores import (
    COMPUTED,
    STORED,
    metric_spreads,
)
from lmd_bench.leaderboard.tables.text import Part, Table
from lmd_bench.stats.metrics import METRICS
from lmd_bench.stats.spread import Spread, spread
from lmd_bench.store.from_logits import scores_on_test
from lmd_bench.store.store import Store

Line = dict[str, Any]
_FAMILY = ("dataset", "protocol", "image_size", "split_seed", "n_max")  # all of a task but factor
COLUMNS = (
    *("family", *_FAMILY, "imbalance_factor", "measured_factor", "n_train", "n_largest"),
    *("task", "method", "label"),
    *("metric", "higher_is_better", "mean", "sd", "n_seeds", "n_undefined"),
)


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


def imbalance_frame(
    studies: Sequence[StudyRows], rule: SelectionRule, store: Store | None = None
) -> pd.DataFrame:
    """Return one line for each study and metric: mean, SD (n - 1) and count over seeds on test.

    A metric that is undefined for some seeds, or of which nothing was stored, has NaN, and
    `n_undefined` says for how many.

    Tasks of one `family` differ in nothing but the imbalance factor: they are one curve of each
    method. A study without confirmed runs has NaN and 0 seeds; one that nothing was asked of, as it
    only lends its encoders, has no line. `measured_factor` is the ratio of the largest to the
    smallest training class that is not empty, which `natural` data have too.

    Args:
        studies: Of any number of tasks.
        rule: What selects the configuration of each study.
        store: Where logits lie; None leaves out the metrics that rows of earlier versions lack.
    """
    names = STORED if store is None else (*STORED, *COMPUTED)
    lines: list[Line] = []
    for study in studies:
        selected = study.selected(rule)
        if selected is None or not study.is_confirmed:
            continue
        runs = list(study.ok_runs(selected).values())
        place = place_of(study, selected)
        for name, score in metric_spreads(runs, names, store).items():
            lines.append(
                {
                    **place,
                    "metric": name,
                    "higher_is_better": METRICS[name].higher_is_better,
                    "mean": score.spread.mean,
                    "sd": score.spread.sd,
                    "n_seeds": score.spread.n,
                    "n_undefined": score.n_undefined,
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
    for study in studies:
        selected = study.selected(rule)
        if selected is None or not study.is_confirmed:
            continue
        runs = study.ok_runs(selected)
        scores = {seed: scores_on_test(row, (metric,), store)[metric] for seed, row in runs.items()}
        place = place_of(study, selected)
        point = Point(place["measured_factor"], measured_name(place), scores, study)
        found.setdefault(place["family"], {}).setdefault(study.label, []).append(point)
    return {
        family: {
            label: tuple(sorted(points, key=lambda point: point.factor))
            for label, points in sorted(curves.items())
        }
        for family, curves in sorted(found.items())
    }


def _cell(row: Mapping[Any, Any]) -> str:
    if isnan(row["mean"]):
        return "–"
    return f"{row['mean']:.3f}" + ("" if isnan(row["sd"]) else f" ± {row['sd']:.3f}")
