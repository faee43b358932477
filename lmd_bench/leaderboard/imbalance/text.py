"""What `lmd-bench imbalance` and `sweep` print: curves, changes of order, robust ranges."""

from collections.abc import Collection, Sequence
from math import isnan
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from lmd_bench.cli.emit import check_format, print_frame
from lmd_bench.core.errors import UserError, unknown
from lmd_bench.core.seeding import derive_seed
from lmd_bench.leaderboard.compare import compare
from lmd_bench.leaderboard.imbalance.crossings import Crossing, Gap, OverImages, crossings
from lmd_bench.leaderboard.imbalance.curves import imbalance_frame, imbalance_text
from lmd_bench.leaderboard.imbalance.factor_curves import Point, factor_curves
from lmd_bench.leaderboard.imbalance.robust_range import RobustRange, robust_ranges
from lmd_bench.leaderboard.studies.group import group_studies
from lmd_bench.leaderboard.studies.predictions import Judged, read_judged
from lmd_bench.leaderboard.studies.read import read_rows
from lmd_bench.leaderboard.studies.rules import SelectionRule, rule_named
from lmd_bench.leaderboard.studies.scores import COMPUTED, METRIC_NAMES, higher_is_better
from lmd_bench.leaderboard.tables.text import bounds, percent, text_table
from lmd_bench.stats.intervals import Interval
from lmd_bench.store.store import Store

PARTS = ("curves", "crossings", "ranges")  # of a CSV, which holds one table
BOOTSTRAPPED = "balanced_accuracy"  # the metric whose differences have an interval over images
_GAP_ENDS = ("seeds_low", "seeds_high", "images_low", "images_high")


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
    better: Literal[1, -1] = 1 if higher_is_better(metric) else -1
    over_images = bootstrap(store, chosen) if metric == BOOTSTRAPPED else _no_interval
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


def bootstrap(store: Store, rule: SelectionRule) -> OverImages:
    """Return what gives the paired bootstrap interval of two points of one task, where known."""
    read: dict[str, Judged | None] = {}

    def judged(point: Point) -> Judged | None:
        study = point.study
        if (name := f"{study.task}/{study.study}") not in read:
            read[name] = read_judged(store, study, rule)
        return read[name]

    def over_images(first: Point, other: Point) -> Interval | None:
        one, two = judged(first), judged(other)
        if one is None or two is None:
            return None
        generator = np.random.default_rng(derive_seed(0, "images", first.study.task))
        found, _ = compare(one, [two], generator)
        return found[0].balanced_accuracy.interval if found else None

    return over_images


def crossing_frame(found: Sequence[Crossing], metric: str) -> pd.DataFrame:
    """Return one line for each change of order."""
    lines: list[dict[str, Any]] = []
    for one in found:
        line: dict[str, Any] = {"family": one.family, "metric": metric, "better_below": one.first}
        line |= {"better_above": one.other, "factor": one.at, "verdict": one.verdict}
        for side, gap in (("below", one.below), ("above", one.above)):
            images = gap.over_images or Interval(float("nan"), float("nan"), "")
            ends = (gap.over_seeds.low, gap.over_seeds.high, images.low, images.high)
            line |= {f"{side}_factor": gap.factor, f"{side}_difference": gap.value}
            line |= {f"{side}_{name}": end for name, end in zip(_GAP_ENDS, ends, strict=True)}
            line[f"{side}_verdict"] = gap.verdict
        lines.append(line)
    names = ("family", "metric", "better_below", "better_above", "factor", "verdict")
    return pd.DataFrame(lines, columns=None if lines else pd.Index(names))


def range_frame(ranges: Sequence[RobustRange], metric: str) -> pd.DataFrame:
    """Return one line for each method and factor; `within` is empty where it is not known."""
    return pd.DataFrame(
        [
            {"family": one.family, "metric": metric, "label": one.label, "factor": name}
            | {"shortfall": short, "sd": sd, "within": inside}
            for one in ranges
            for name, short, sd, inside in zip(
                one.names, one.shortfall, one.sd, one.within, strict=True
            )
        ]
    )


def crossing_text(found: Sequence[Crossing], metric: str) -> list[str]:
    """Return the changes of order as text."""
    if not found:
        return [f"No two methods change their order in mean test {metric} between factors."]
    over = "over seeds (Student's t, paired)"
    over += " and over test images (paired bootstrap)" if metric == BOOTSTRAPPED else ""
    lines = [
        f"Changes of order in mean test {metric}: the first is better below, the other above; the "
        "factor is interpolated in its logarithm. Beyond: on both sides no known 95 % interval of "
        f"the difference holds 0, {over}; not corrected for the number of pairs. Neither holds the "
        "spread over searches, splits or data sets."
    ]
    families = {
        one.family: [other for other in found if other.family == one.family] for one in found
    }
    header = ("better below", "better above", "factor", "difference below", "above", "spread")
    for family, members in families.items():
        cells = [
            [
                *(one.first, one.other, f"{one.at:.3g}", _side(one.below, metric)),
                *(_side(one.above, metric), one.verdict),
            ]
            for one in members
        ]
        lines += ["", family, *text_table(header, cells)]
    return lines


def range_text(ranges: Sequence[RobustRange], metric: str) -> list[str]:
    """Return the robust ranges as text."""
    lines = [
        f"Robust range: factors at which a method's mean test {metric} falls short of the best "
        "mean by no more than its own SD over retraining seeds (one search, one split); what lies "
        "between two factors was not measured."
    ]
    for family in dict.fromkeys(one.family for one in ranges):
        cells = [_range_cells(one) for one in ranges if one.family == family]
        lines += ["", family, *text_table(("method", "within at", "range", "not known"), cells)]
    return lines


def _range_cells(one: RobustRange) -> list[str]:
    spans = [low if low == high else f"{low} to {high}" for low, high in one.ranges]
    unknown_at = [
        name for name, inside in zip(one.names, one.within, strict=True) if inside is None
    ]
    count = f"{one.n_within} of {len(one.names)}"
    return [one.label, count, ", ".join(spans) or "–", ", ".join(unknown_at) or "–"]


def _side(gap: Gap, metric: str) -> str:
    if metric != BOOTSTRAPPED:
        seeds = gap.over_seeds
        ends = "" if isnan(seeds.low) else f" [{seeds.low:+.3f}, {seeds.high:+.3f}]"
        return f"{gap.name}: {gap.value:+.3f}{ends}"
    images = "" if gap.over_images is None else f" {bounds(gap.over_images, '+')}"
    return f"{gap.name}: {percent(gap.value, '+')} {bounds(gap.over_seeds, '+')}{images}"


def _no_interval(first: Point, other: Point) -> None:
    return None
