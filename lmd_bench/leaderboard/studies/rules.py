"""Named rules that pick one configuration of a study. All but the oracle see validation only.

A rule belongs to a table, not to a search: it is replayed from stored rows, without training. What
a rule scores is a finished trial; the classifier judged on test is the one that the trial kept.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import isnan

import numpy as np

from lmd_bench.core.errors import UserError, unknown
from lmd_bench.core.schema import NO_CALIBRATION, Row
from lmd_bench.stats.metrics import METRICS
from lmd_bench.stats.proportions import mean_lower_bound
from lmd_bench.store.from_logits import VAL_COUNTS


@dataclass(frozen=True)
class SelectionRule:
    """A named rule: the search row with the highest score is selected."""

    name: str
    description: str
    # score of an `ok` search row and its `ok` confirmation runs; higher is better
    function: Callable[[Row, Sequence[Row]], float | None]
    columns: tuple[str, ...]  # that the function reads
    needs_val_counts: bool = False
    watermark: str = ""  # shown in every output where not empty


def _val_balanced_accuracy(row: Row, runs: Sequence[Row]) -> float | None:
    assert METRICS["balanced_accuracy"].higher_is_better
    return row["val_balanced_accuracy"]


def _val_macro_f1(row: Row, runs: Sequence[Row]) -> float | None:
    assert METRICS["macro_f1"].higher_is_better
    return row["val_macro_f1"]


def _val_worst_class(row: Row, runs: Sequence[Row]) -> float | None:
    recall = [value for value in row["val_recall"] or () if value is not None and not isnan(value)]
    return min(recall, default=None)


def _val_lower_confidence(row: Row, runs: Sequence[Row]) -> float | None:
    counts = row.get(VAL_COUNTS)
    if counts is None:
        raise UserError(
            f"The rule val_lower_confidence needs the number of val images of each class, and the "
            f"results hold neither them nor logits of {row['dataset']}; choose another --rule."
        )
    recall = np.array([np.nan if value is None else value for value in row["val_recall"]])
    return mean_lower_bound(recall, np.asarray(counts, dtype=np.int64))


def _last_epoch(row: Row, runs: Sequence[Row]) -> float | None:
    stage1_is_all = row["calibration"] == NO_CALIBRATION
    last_stage = "representation" if stage1_is_all else "calibration"
    points = [point for point in row["curve"] if point["stage"] == last_stage]
    if not points:  # solved in closed form: there is one state
        return row["val_balanced_accuracy"]
    return max(points, key=lambda point: point["epoch"])["val_balanced_accuracy"]


def _oracle_test(row: Row, runs: Sequence[Row]) -> float | None:
    scores = [run["test_balanced_accuracy"] for run in runs]
    known = [score for score in scores if score is not None and not isnan(score)]
    return sum(known) / len(known) if known else None


VAL_BALANCED_ACCURACY = SelectionRule(
    "val_balanced_accuracy",
    "highest balanced accuracy on val at the best epoch; of equals, the earliest trial",
    _val_balanced_accuracy,
    columns=("val_balanced_accuracy",),
)
RULES = {
    rule.name: rule
    for rule in (
        VAL_BALANCED_ACCURACY,
        SelectionRule(
            "val_macro_f1", "highest macro-F1 on val", _val_macro_f1, columns=("val_macro_f1",)
        ),
        SelectionRule(
            "val_worst_class",
            "highest recall on val of the worst class",
            _val_worst_class,
            columns=("val_recall",),
        ),
        SelectionRule(
            "val_lower_confidence",
            "highest one-sided 95 % lower bound of balanced accuracy on val, given its images",
            _val_lower_confidence,
            columns=("val_recall", VAL_COUNTS, "dataset"),
            needs_val_counts=True,
        ),
        SelectionRule(
            "last_epoch",
            "highest balanced accuracy on val at the last epoch of the last stage; the state "
            "judged on test is still the kept one",
            _last_epoch,
            columns=("calibration", "curve", "val_balanced_accuracy"),
        ),
        SelectionRule(
            "oracle_test",
            "highest mean test balanced accuracy among the confirmed configurations",
            _oracle_test,
            columns=("test_balanced_accuracy",),
            watermark="ORACLE: CHOSEN ON TEST. An upper bound, not a result.",
        ),
    )
}


def rule_named(name: str | SelectionRule) -> SelectionRule:
    """Return the rule of a name; a rule is returned as it is.

    Raises:
        UserError: no such rule.
    """
    if isinstance(name, SelectionRule):
        return name
    if name not in RULES:
        raise unknown("rule", name, RULES)
    return RULES[name]


def score(row: Row, rule: SelectionRule, runs: Sequence[Row] = ()) -> float | None:
    """Return what a rule gives a search row; None where the trial failed or it is undefined."""
    if row["status"] != "ok":
        return None
    value = rule.function(row, [run for run in runs if run["status"] == "ok"])
    return None if value is None or isnan(value) else float(value)


def race_order(row: Row, runs: Sequence[Row]) -> tuple[float, int]:
    """Return what places a search row in a race: less is better.

    It is the mean on val of its retrainings; of equals the earlier trial, so the default, wins.
    """
    scores = [float(run["val_balanced_accuracy"]) for run in runs]
    return -sum(scores) / len(scores) if scores else 0.0, int(row["trial_number"])


def race_winner(rows: Iterable[Row]) -> Row | None:
    """Return the search row that has won the race of a study; None where none was run.

    Of those with the most retrainings, which are the ones that did not drop out, the best.
    """
    trials: dict[str, Row] = {}
    runs: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["phase"] == "search":
            trials[row["key"]] = row
        elif row["phase"] == "race":
            runs[row["source_key"]].append(row)
    most = max((len(of) for of in runs.values()), default=0)
    finished = [
        trials[key]
        for key, of in runs.items()
        if key in trials and len(of) == most and all(run["status"] == "ok" for run in of)
    ]
    return min(finished, key=lambda row: race_order(row, runs[row["key"]]), default=None)


def best_row(rows: Iterable[Row], rule: SelectionRule = VAL_BALANCED_ACCURACY) -> Row | None:
    """Return the selected row of one study; None if no search trial ended well.

    Only search rows of status `ok` with a defined score can be selected. Of equal scores the lowest
    trial number wins, so that the answer does not depend on the order of the rows. Where a study
    chose by a race on val, the usual rule selects what won.
    """
    rows = list(rows)
    if rule is VAL_BALANCED_ACCURACY and (winner := race_winner(rows)) is not None:
        return winner
    trials: list[Row] = []
    runs: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["phase"] == "search":
            trials.append(row)
        elif row["phase"] == "confirm":
            runs[row["source_key"]].append(row)
    scored = [
        (value, row)
        for row in trials
        if (value := score(row, rule, runs.get(row["key"], ()))) is not None
    ]
    if not scored:
        return None
    return min(scored, key=lambda pair: (-pair[0], pair[1]["trial_number"], pair[1]["key"]))[1]
