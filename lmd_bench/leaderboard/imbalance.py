"""Each metric on test against the imbalance factor, for every method: a tidy frame."""

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

import pandas as pd

from lmd_bench.leaderboard.select import SelectionRule
from lmd_bench.leaderboard.statistics import spread
from lmd_bench.leaderboard.studies import Row, StudyRows
from lmd_bench.leaderboard.text_table import text_table
from lmd_bench.metrics import FROM_LOGITS, METRICS
from lmd_bench.results import Store

Line = dict[str, Any]

STORED = (*METRICS, "many_recall", "medium_recall", "few_recall")
COMPUTED = tuple(name for name in FROM_LOGITS if name not in METRICS)
_FAMILY = ("dataset", "protocol", "image_size", "split_seed", "n_max")  # all of a task but factor
COLUMNS = (
    *("family", *_FAMILY, "imbalance_factor", "measured_factor", "task", "method", "label"),
    *("metric", "higher_is_better", "mean", "sd", "n_seeds"),
)


def imbalance_frame(
    studies: Sequence[StudyRows], rule: SelectionRule, store: Store | None = None
) -> pd.DataFrame:
    """Return one line for each study and metric: mean, SD (n - 1) and count over seeds on test.

    Tasks of one `family` differ in nothing but the imbalance factor: they are one curve of each
    method. A study without confirmed runs has NaN and 0 seeds; one that nothing was asked of, as it
    only lends its encoders, has no line. `measured_factor` is the ratio of the largest to the
    smallest training class that is not empty, which `natural` data have too.

    Args:
        studies: Of any number of tasks.
        rule: What selects the configuration of each study.
        store: Where logits lie; None leaves out the metrics that are computed from them.
    """
    names = STORED if store is None else (*STORED, *COMPUTED)
    lines: list[Line] = []
    for study in studies:
        selected = study.selected(rule)
        if selected is None or not any(row["phase"] == "confirm" for row in study.rows):
            continue
        runs = [run_scores(row, store) for row in study.ok_runs(selected).values()]
        place = place_of(study, selected)
        for name in names:
            found = spread([run[name] for run in runs])
            direction = higher_is_better(name)
            lines.append(
                place
                | {"metric": name, "higher_is_better": direction}
                | {"mean": found.mean, "sd": found.sd, "n_seeds": found.n}
            )
    frame = pd.DataFrame(lines, columns=pd.Index(COLUMNS))
    return frame.sort_values(["family", "label", "metric", "measured_factor"], ignore_index=True)


def imbalance_text(frame: pd.DataFrame, metric: str, rule: SelectionRule) -> list[str]:
    """Return one metric as text: for each family of tasks, methods against imbalance factors."""
    better = "higher" if higher_is_better(metric) else "lower"
    lines = [rule.watermark] if rule.watermark else []
    lines.append(
        f"Test {metric}, {better} is better; mean ± SD over the retraining seeds of the "
        f"configuration that {rule.name} selects at each factor (fractions; nll in nats)."
    )
    chosen = frame[frame["metric"] == metric]
    for family, part in chosen.groupby("family", sort=False):
        tasks = part.drop_duplicates("task").sort_values("measured_factor")
        header = ["method", *(factor_name(row) for row in tasks.to_dict("records"))]
        rows: list[list[str]] = []
        for label, curve in part.groupby("label", sort=False):
            cells = {row["task"]: _cell(row) for row in curve.to_dict("records")}
            rows.append([str(label), *(cells.get(task, "–") for task in tasks["task"])])
        lines += ["", str(family), *text_table(header, rows)]
    return lines


def factor_name(row: Mapping[Any, Any]) -> str:
    """Return what the factor of a line is called."""
    asked = row["imbalance_factor"]
    if asked is None or isnan(asked):
        return f"natural ({row['measured_factor']:.3g})"
    return f"IF {asked:g}"


def _cell(row: Mapping[Any, Any]) -> str:
    if isnan(row["mean"]):
        return "–"
    return f"{row['mean']:.3f}" + ("" if isnan(row["sd"]) else f" ± {row['sd']:.3f}")


def place_of(study: StudyRows, row: Row) -> Line:
    """Return what a line says of the task and method of a study; `row` is any of its `ok` rows."""
    counts = [count for count in row["class_counts"] if count > 0]
    n_max = "" if row["n_max"] is None else f" · n_max {row['n_max']}"
    split = f" · split {row['split_seed']}" if row["split_seed"] else ""
    return {
        "family": f"{row['dataset']} · {row['protocol']}{n_max}{split} · {row['image_size']} px",
        **{name: row[name] for name in _FAMILY},
        "imbalance_factor": row["imbalance_factor"],
        "measured_factor": max(counts) / min(counts) if counts else float("nan"),
        "task": study.task,
        "method": study.method,
        "label": study.label,
    }


def run_scores(row: Row, store: Store | None) -> Mapping[str, float]:
    """Return every metric of a run on test; those of logits only with a store."""
    stored = {name: row[f"test_{name}"] for name in STORED}
    scores = {name: float("nan") if value is None else value for name, value in stored.items()}
    if store is None:
        return scores
    found = store.read_logits(row["key"])
    if "test" not in found:
        return scores | dict.fromkeys(COMPUTED, float("nan"))
    _, labels, logits = found["test"]
    return scores | {name: FROM_LOGITS[name].function(labels, logits) for name in COMPUTED}


def higher_is_better(name: str) -> bool:
    """Return whether a metric is better when higher."""
    metric = FROM_LOGITS.get(name)
    return True if metric is None else metric.higher_is_better  # the recall of a group
