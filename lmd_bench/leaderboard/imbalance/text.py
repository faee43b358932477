"""What `lmd-bench imbalance` and `sweep` print: curves, changes of order, robust ranges."""

from collections.abc import Collection, Sequence
from math import isnan
from typing import Any, Literal

import numpy as np
import pandas as pd

from lmd_bench.core.errors import UserError, unknown
from lmd_bench.core.schema import Row
from lmd_bench.core.seeding import derive_seed
from lmd_bench.leaderboard.answer import Answer
from lmd_bench.leaderboard.compare import compare
from lmd_bench.leaderboard.imbalance.crossings import Crossing, Gap, OverImages, crossings
from lmd_bench.leaderboard.imbalance.curves import (
    Point,
    factor_curves,
    imbalance_frame,
    imbalance_text,
)
from lmd_bench.leaderboard.imbalance.robust_range import RobustRange, robust_ranges
from lmd_bench.leaderboard.studies.group import group_studies
from lmd_bench.leaderboard.studies.predictions import Judged, clusters_of, read_judged
from lmd_bench.leaderboard.studies.rules import SelectionRule
from lmd_bench.leaderboard.tables.text import Part, Table, bounds, percent
from lmd_bench.stats.intervals import Interval
from lmd_bench.stats.metrics import METRICS
from lmd_bench.store.store import Store

PARTS = {"curves": "rows", "crossings": "crossings", "ranges": "robust_ranges"}  # of a CSV -> frame
BOOTSTRAPPED = "balanced_accuracy"  # the metric whose differences have an interval over images


def imbalance(
    store: Store,
    rows: Sequence[Row],
    rule: SelectionRule,
    metric: str = "balanced_accuracy",
    *,
    study: str = "",
    only: Collection[str] | None = None,
) -> Answer:
    """Return a metric against the imbalance factor, where methods cross, and their robust ranges.

    Args:
        store: Where the logits lie.
        rows: Of any number of studies.
        rule: What selects the configuration of each study.
        metric: Of the text, the crossings and the ranges; the curves hold all metrics.
        study: Studies whose id does not hold this text are left out.
        only: Ids of the studies that count; None: all.

    Raises:
        UserError: no such metric, or nothing is confirmed.
    """
    if metric not in METRICS:
        raise unknown("metric", metric, METRICS)
    studies = [
        group
        for group in group_studies(rows)
        if study in group.study and (only is None or group.study in only)
    ]
    frame = imbalance_frame(studies, rule, store)
    if frame.empty:
        raise UserError(
            f"Nothing in {store.root} is confirmed yet, and imbalance factors are compared on "
            "test; let its search confirm, or name another folder of results."
        )
    curves = factor_curves(studies, rule, metric, store)
    better: Literal[1, -1] = 1 if METRICS[metric].higher_is_better else -1
    over_images = bootstrap(store, rule) if metric == BOOTSTRAPPED else no_interval
    changes, ranges = crossings(curves, better, over_images), robust_ranges(curves, better)
    frames = {
        "rows": frame,
        "crossings": crossing_frame(changes, metric),
        "robust_ranges": range_frame(ranges, metric),
    }

    def text() -> list[Part]:
        parts = imbalance_text(frame, metric, rule)
        return [*parts, "", *crossing_text(changes, metric), "", *range_text(ranges, metric)]

    with_rule = {
        name: of.assign(rule=rule.name, watermark=rule.watermark) for name, of in frames.items()
    }
    return Answer(with_rule, text, rule)


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
        found, _ = compare(one, [two], generator, clusters_of(one))
        return found[0].balanced_accuracy.interval if found else None

    return over_images


def crossing_frame(crossings: Sequence[Crossing], metric: str) -> pd.DataFrame:
    """Return one line for each change of order."""
    lines: list[dict[str, Any]] = []
    for crossing in crossings:
        lines.append(
            {
                "family": crossing.family,
                "metric": metric,
                "better_below": crossing.first,
                "better_above": crossing.other,
                "factor": crossing.at,
                "verdict": crossing.verdict,
                **_gap_columns("below", crossing.below),
                **_gap_columns("above", crossing.above),
            }
        )
    names = ("family", "metric", "better_below", "better_above", "factor", "verdict")
    return pd.DataFrame(lines, columns=None if lines else pd.Index(names))


def _gap_columns(side: str, gap: Gap) -> dict[str, Any]:
    images = gap.over_images or Interval(float("nan"), float("nan"), "")
    return {
        f"{side}_factor": gap.factor,
        f"{side}_difference": gap.value,
        f"{side}_seeds_low": gap.over_seeds.low,
        f"{side}_seeds_high": gap.over_seeds.high,
        f"{side}_images_low": images.low,
        f"{side}_images_high": images.high,
        f"{side}_verdict": gap.verdict,
    }


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


def crossing_text(crossings: Sequence[Crossing], metric: str) -> list[Part]:
    """Return the changes of order as text."""
    if not crossings:
        return [f"No two methods change their order in mean test {metric} between factors."]
    over = "over seeds (Student's t, paired)"
    over += " and over test images (paired bootstrap)" if metric == BOOTSTRAPPED else ""
    lines: list[Part] = [
        f"Changes of order in mean test {metric}: the first is better below, the other above; the "
        "factor is interpolated in its logarithm. Beyond: on both sides no known 95 % interval of "
        f"the difference holds 0, {over}; not corrected for the number of pairs. Neither holds the "
        "spread over searches, splits or data sets."
    ]
    families = {
        crossing.family: [other for other in crossings if other.family == crossing.family]
        for crossing in crossings
    }
    header = ("better below", "better above", "factor", "difference below", "above", "spread")
    for family, members in families.items():
        cells = [
            [
                *(
                    crossing.first,
                    crossing.other,
                    f"{crossing.at:.3g}",
                    _side(crossing.below, metric),
                ),
                *(_side(crossing.above, metric), crossing.verdict),
            ]
            for crossing in members
        ]
        lines += ["", family, Table(header, cells, n_keys=2)]
    return lines


def range_text(ranges: Sequence[RobustRange], metric: str) -> list[Part]:
    """Return the robust ranges as text."""
    lines: list[Part] = [
        f"Robust range: factors at which a method's mean test {metric} falls short of the best "
        "mean by no more than its own SD over retraining seeds (one search, one split); what lies "
        "between two factors was not measured."
    ]
    for family in dict.fromkeys(one.family for one in ranges):
        cells = [_range_cells(one) for one in ranges if one.family == family]
        lines += ["", family, Table(("method", "within at", "range", "not known"), cells)]
    return lines


def _range_cells(robust: RobustRange) -> list[str]:
    spans = [low if low == high else f"{low} to {high}" for low, high in robust.ranges]
    unknown_at = [
        name for name, inside in zip(robust.names, robust.within, strict=True) if inside is None
    ]
    count = f"{robust.n_within} of {len(robust.names)}"
    return [robust.label, count, ", ".join(spans) or "–", ", ".join(unknown_at) or "–"]


def _side(gap: Gap, metric: str) -> str:
    if metric != BOOTSTRAPPED:
        seeds = gap.over_seeds
        ends = "" if isnan(seeds.low) else f" [{seeds.low:+.3f}, {seeds.high:+.3f}]"
        return f"{gap.name}: {gap.value:+.3f}{ends}"
    images = "" if gap.over_images is None else f" {bounds(gap.over_images, '+')}"
    return f"{gap.name}: {percent(gap.value, '+')} {bounds(gap.over_seeds, '+')}{images}"


def no_interval(first: Point, other: Point) -> None:
    """Return that the interval of a difference is not known."""
    return
