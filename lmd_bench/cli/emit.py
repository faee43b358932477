"""What `intervals` and `tuning` print: texts for a person, frames for a program."""

import json
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from lmd_bench.core.errors import UserError, unknown
from lmd_bench.leaderboard.imbalance.crossings import crossings
from lmd_bench.leaderboard.imbalance.curves import factor_curves, imbalance_frame, imbalance_text
from lmd_bench.leaderboard.imbalance.robust_range import robust_ranges
from lmd_bench.leaderboard.imbalance.text import (
    BOOTSTRAPPED,
    PARTS,
    bootstrap,
    crossing_frame,
    crossing_text,
    no_interval,
    range_frame,
    range_text,
)
from lmd_bench.leaderboard.studies.budget import Unit
from lmd_bench.leaderboard.studies.group import group_studies
from lmd_bench.leaderboard.studies.read import read_rows
from lmd_bench.leaderboard.studies.rules import SelectionRule, rule_named
from lmd_bench.leaderboard.studies.scores import COMPUTED, METRIC_NAMES
from lmd_bench.leaderboard.tables.text import json_value
from lmd_bench.leaderboard.tuning import tuning_frame, tuning_text
from lmd_bench.leaderboard.uncertainty import (
    class_frame,
    classes_text,
    method_frame,
    methods_text,
    tasks_without_lines,
)
from lmd_bench.stats.metrics import METRICS

FORMATS = ("table", "csv", "json")


def print_intervals(
    root: Path, form: str, rule: str, by_class: bool, clusters: tuple[Path, str] | None
) -> None:
    """Print every method's score, or its recall of each class, with its intervals.

    Raises:
        UserError: no such format or rule, no results, or none with logits of test.
    """
    check_format(form)
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

    print_frame(form, frame, chosen, text)


def print_tuning(root: Path, form: str, rule: str, against: str) -> None:
    """Print what trials, hours and tuning bring; csv and json hold the curves.

    Raises:
        UserError: no such format, rule or unit, or no results.
    """
    check_format(form)
    units = {name: name for name in get_args(Unit)}
    if against not in units:
        raise unknown("unit", against, units)
    unit: Unit = units[against]
    chosen = rule_named(rule)
    studies = group_studies(read_rows(root, chosen)[1])
    frame = tuning_frame(studies, chosen, unit)
    print_frame(form, frame, chosen, lambda: tuning_text(studies, chosen, unit))


def check_format(form: str) -> None:
    """Check the name of a format.

    Raises:
        UserError: there is no such format.
    """
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)


def print_frame(
    form: str,
    frame: pd.DataFrame,
    rule: SelectionRule,
    text: Callable[[], Sequence[str]],
    more: Mapping[str, pd.DataFrame] | None = None,
) -> None:
    """Print a text for `table`, else a frame; JSON holds the frames of `more` beside it."""
    if form == "table":
        print("\n".join(text()))
        return
    if form == "csv":
        if rule.watermark:
            print(rule.watermark, file=sys.stderr)
        sys.stdout.write(frame.to_csv(index=False))
        return
    data: dict[str, object] = {"rule": rule.name, "watermark": rule.watermark or None}
    for name, one in {"rows": frame, **(more or {})}.items():
        records = one.to_dict("records")
        data[name] = [{str(k): json_value(v) for k, v in line.items()} for line in records]
    print(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False))


def print_imbalance(
    root: Path,
    form: str,
    rule: str,
    metric: str,
    part: str = "curves",
    *,
    study: str = "",
    only: Collection[str] | None = None,
) -> None:
    """Print a metric against the imbalance factor, where methods cross, and their robust ranges.

    Args:
        root: Folder of the results.
        form: table, csv or json; the curves of the last two hold all metrics.
        rule: What selects the configuration of each study.
        metric: Of the table, the crossings and the ranges.
        part: What CSV holds.
        study: Studies whose id does not hold this text are left out.
        only: Ids of the studies that count; None: all.

    Raises:
        UserError: no such format, rule, metric or part, or no results.
    """
    check_format(form)
    if metric not in METRIC_NAMES:
        raise unknown("metric", metric, METRIC_NAMES)
    if part not in PARTS:
        raise unknown("part", part, PARTS)
    chosen = rule_named(rule)
    store, rows = read_rows(root, chosen)
    studies = [
        one
        for one in group_studies(rows)
        if study in one.study and (only is None or one.study in only)
    ]
    needed = store if form != "table" or metric in COMPUTED else None
    frame = imbalance_frame(studies, chosen, needed).assign(
        rule=chosen.name, watermark=chosen.watermark
    )
    if frame.empty:
        raise UserError(
            f"Nothing in {root} is confirmed yet, and imbalance factors are compared on test; let "
            "its search confirm, or name another folder with --results."
        )
    curves = factor_curves(studies, chosen, metric, store if metric in COMPUTED else None)
    better: Literal[1, -1] = 1 if METRICS[metric].higher_is_better else -1
    over_images = bootstrap(store, chosen) if metric == BOOTSTRAPPED else no_interval
    found, ranges = crossings(curves, better, over_images), robust_ranges(curves, better)
    frames = {
        "curves": frame,
        "crossings": crossing_frame(found, metric).assign(
            rule=chosen.name, watermark=chosen.watermark
        ),
        "ranges": range_frame(ranges, metric).assign(rule=chosen.name, watermark=chosen.watermark),
    }

    def text() -> list[str]:
        lines = imbalance_text(frame, metric, chosen)
        return [*lines, "", *crossing_text(found, metric), "", *range_text(ranges, metric)]

    more = {"crossings": frames["crossings"], "robust_ranges": frames["ranges"]}
    print_frame(form, frames[part] if form == "csv" else frame, chosen, text, more)
