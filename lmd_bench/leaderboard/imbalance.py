"""Each metric on test against the imbalance factor, for every method: a tidy frame."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from lmd_bench.leaderboard.select import SelectionRule
from lmd_bench.leaderboard.statistics import spread
from lmd_bench.leaderboard.studies import StudyRows
from lmd_bench.metrics import FROM_LOGITS, METRICS
from lmd_bench.results import Store

Row = dict[str, Any]

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
    lines: list[Row] = []
    for study in studies:
        selected = study.selected(rule)
        if selected is None or not any(row["phase"] == "confirm" for row in study.rows):
            continue
        runs = [_scores(row, store) for row in study.ok_runs(selected).values()]
        place = _place(study, selected)
        for name in names:
            found = spread([run[name] for run in runs])
            direction = _higher_is_better(name)
            lines.append(
                place
                | {"metric": name, "higher_is_better": direction}
                | {"mean": found.mean, "sd": found.sd, "n_seeds": found.n}
            )
    frame = pd.DataFrame(lines, columns=pd.Index(COLUMNS))
    return frame.sort_values(["family", "label", "metric", "measured_factor"], ignore_index=True)


def _place(study: StudyRows, row: Row) -> Row:
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


def _scores(row: Row, store: Store | None) -> Mapping[str, float]:
    stored = {name: row[f"test_{name}"] for name in STORED}
    scores = {name: float("nan") if value is None else value for name, value in stored.items()}
    if store is None:
        return scores
    found = store.read_logits(row["key"])
    if "test" not in found:
        return scores | dict.fromkeys(COMPUTED, float("nan"))
    _, labels, logits = found["test"]
    return scores | {name: FROM_LOGITS[name].function(labels, logits) for name in COMPUTED}


def _higher_is_better(name: str) -> bool:
    metric = FROM_LOGITS.get(name)
    return True if metric is None else metric.higher_is_better  # the recall of a group
