"""What `intervals`, `tuning` and `imbalance` print: texts for a person, frames for a program."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import pandas as pd

from lmd_bench.errors import UserError, unknown
from lmd_bench.leaderboard.budget import Unit
from lmd_bench.leaderboard.imbalance import imbalance_frame, imbalance_text
from lmd_bench.leaderboard.scores import COMPUTED, METRIC_NAMES
from lmd_bench.leaderboard.select import SelectionRule, rule_named
from lmd_bench.leaderboard.stored import read_rows
from lmd_bench.leaderboard.studies import group_studies
from lmd_bench.leaderboard.text_table import json_value
from lmd_bench.leaderboard.tuning import tuning_frame, tuning_text
from lmd_bench.leaderboard.uncertainty import (
    class_frame,
    classes_text,
    method_frame,
    methods_text,
    tasks_without_lines,
)

FORMATS = ("table", "csv", "json")


def print_intervals(
    root: Path, form: str, rule: str, by_class: bool, clusters: tuple[Path, str] | None
) -> None:
    """Print every method's score, or its recall of each class, with its intervals.

    Raises:
        UserError: no such format or rule, no results, or none with logits of test.
    """
    _check(form)
    chosen = rule_named(rule)
    store, rows = read_rows(root, chosen)
    studies = group_studies(rows)
    if by_class:
        frame = class_frame(store, studies, chosen)
    else:
        frame = method_frame(store, studies, chosen, clusters)
    if frame.empty:
        raise UserError(
            f"No confirmed run in {root} has logits of test, which intervals over images take; "
            "let its search confirm, or name another folder with --results."
        )
    notes = tasks_without_lines(studies, frame)

    def text() -> list[str]:
        if by_class:
            lines = classes_text(frame, chosen)
        else:
            lines = methods_text(frame, chosen, bool(clusters))
        return [*lines, "", *notes] if notes else lines

    _print(form, frame, chosen, text)


def print_tuning(root: Path, form: str, rule: str, against: str) -> None:
    """Print what trials, hours and tuning bring; csv and json hold the curves.

    Raises:
        UserError: no such format, rule or unit, or no results.
    """
    _check(form)
    units = {name: name for name in get_args(Unit)}
    if against not in units:
        raise unknown("unit", against, units)
    unit: Unit = units[against]
    chosen = rule_named(rule)
    studies = group_studies(read_rows(root, chosen)[1])
    frame = tuning_frame(studies, chosen, unit)
    _print(form, frame, chosen, lambda: tuning_text(studies, chosen, unit))


def print_imbalance(root: Path, form: str, rule: str, metric: str) -> None:
    """Print a metric of each method against the imbalance factor; csv and json hold all metrics.

    Raises:
        UserError: no such format, rule or metric, or no results.
    """
    _check(form)
    if metric not in METRIC_NAMES:
        raise unknown("metric", metric, METRIC_NAMES)
    chosen = rule_named(rule)
    store, rows = read_rows(root, chosen)
    needed = store if form != "table" or metric in COMPUTED else None
    frame = imbalance_frame(group_studies(rows), chosen, needed)
    frame = frame.assign(rule=chosen.name, watermark=chosen.watermark)
    if frame.empty:
        raise UserError(
            f"Nothing in {root} is confirmed yet, and imbalance factors are compared on test; let "
            "its search confirm, or name another folder with --results."
        )
    _print(form, frame, chosen, lambda: imbalance_text(frame, metric, chosen))


def _check(form: str) -> None:
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)


def _print(
    form: str, frame: pd.DataFrame, rule: SelectionRule, text: Callable[[], Sequence[str]]
) -> None:
    if form == "table":
        print("\n".join(text()))
        return
    if form == "csv":
        if rule.watermark:
            print(rule.watermark, file=sys.stderr)
        sys.stdout.write(frame.to_csv(index=False))
        return
    lines = [{str(k): json_value(v) for k, v in r.items()} for r in frame.to_dict("records")]
    data = {"rule": rule.name, "watermark": rule.watermark or None, "rows": lines}
    print(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False))
