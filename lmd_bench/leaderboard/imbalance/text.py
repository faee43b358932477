"""What `lmd-bench imbalance` and `sweep` print: curves, changes of order, robust ranges."""

from collections import Counter
from collections.abc import Collection, Sequence
from statistics import fmean
from typing import Any, Literal

import pandas as pd

from lmd_bench.core.errors import UserError, unknown
from lmd_bench.core.schema import Row
from lmd_bench.leaderboard.answer import Answer
from lmd_bench.leaderboard.imbalance import over_range
from lmd_bench.leaderboard.imbalance.crossings import ORDER, Crossing, Gap, Paired, crossings
from lmd_bench.leaderboard.imbalance.curves import (
    Point,
    factor_curves,
    imbalance_frame,
    imbalance_text,
)
from lmd_bench.leaderboard.imbalance.interactions import range_surface, share_frame, share_text
from lmd_bench.leaderboard.imbalance.over_range import range_lines, range_studies
from lmd_bench.leaderboard.imbalance.robust_range import RobustRange, robust_ranges
from lmd_bench.leaderboard.studies.group import group_studies, of_studies
from lmd_bench.leaderboard.studies.measure import measure
from lmd_bench.leaderboard.studies.predictions import (
    Clusters,
    Judged,
    clusters_of,
    read_repeats,
    same_images,
)
from lmd_bench.leaderboard.studies.rules import SelectionRule
from lmd_bench.leaderboard.tables.text import Part, Table, with_bounds
from lmd_bench.stats.joint import Joint, joint, joint_columns
from lmd_bench.stats.metrics import METRICS, PRIMARY
from lmd_bench.store.store import Store

PARTS = {  # of a CSV -> frame
    "curves": "rows",
    "crossings": "crossings",
    "ranges": "robust_ranges",
    "over-range": "over_range",
    "levels": "levels",
    "shares": "shares",
}
MARGIN = 0.02  # of what a method may fall short and still be as good, of a metric in percent


def imbalance(
    store: Store,
    rows: Sequence[Row],
    rule: SelectionRule,
    metric: str = PRIMARY.name,
    *,
    margin: float = MARGIN,
    study: str = "",
    only: Collection[str] | None = None,
    clusters: Clusters | None = None,
) -> Answer:
    """Return a metric against the imbalance factor, where methods cross, and their robust ranges.

    Args:
        store: Where the logits lie.
        rows: Of any number of studies.
        rule: What selects the configuration of each study.
        metric: Of the text, the crossings and the ranges; the curves hold all metrics.
        margin: That a method may fall short of the best and be as good.
        study: Studies whose id does not hold this text are left out.
        only: Ids of the studies that count; None: all.
        clusters: Lesions or patients of the images; None: those stored with the logits.

    Raises:
        UserError: no such metric or study, or nothing is confirmed.
    """
    if metric not in METRICS:
        raise unknown("metric", metric, METRICS)
    rows = [row for row in of_studies(rows, study) if only is None or row["study"] in only]
    studies = group_studies(rows)
    frame = imbalance_frame(studies, rule, store)
    over = range_studies(rows)
    lines = range_lines(over, studies, rule, store, metric, clusters)
    surfaces = [found for group in over if (found := range_surface(group)) is not None]
    if frame.empty and not lines:
        raise UserError(
            f"Nothing in {store.root} is confirmed yet, and imbalance factors are compared on "
            "test; let its search confirm, or name another folder of results."
        )
    curves = factor_curves(studies, rule, metric, store)
    better: Literal[1, -1] = 1 if METRICS[metric].higher_is_better else -1
    differences = paired(store, rule, metric, clusters)
    changes = crossings(curves, better, differences)
    ranges = robust_ranges(curves, better, differences, margin)
    frames = {
        "rows": frame,
        "crossings": crossing_frame(changes, metric),
        "robust_ranges": range_frame(ranges, metric),
        "over_range": over_range.range_frame(lines),
        "levels": over_range.level_frame(lines),
        "shares": share_frame(surfaces),
    }

    def text() -> list[Part]:
        blocks: list[list[Part]] = []
        if not frame.empty:
            blocks.append(imbalance_text(frame, metric, rule))
            several = bool((frame["n_searches"] > 1).any())
            blocks.append(crossing_text(changes, metric, several=several))
            blocks.append(range_text(ranges, metric, margin, several=several))
        blocks += [block for block in (over_range.range_text(lines), share_text(surfaces)) if block]
        return [part for block in blocks for part in ("", *block)][1:]

    with_rule = {
        name: of.assign(rule=rule.name, watermark=rule.watermark) for name, of in frames.items()
    }
    return Answer(with_rule, text, rule)


def paired(
    store: Store | None, rule: SelectionRule, metric: str, clusters: Clusters | None = None
) -> Paired:
    """Return what gives the difference of two points of one task, with its intervals.

    Over retrainings alone where no logits were kept, or without a store.
    """
    read: dict[Point, Judged | None] = {}

    def judged(point: Point) -> Judged | None:
        if store is not None and point not in read:
            read[point] = read_repeats(store, point.repeats, rule)
        return read.get(point)

    def difference(first: Point, other: Point) -> Joint:
        one, two = judged(first), judged(other)
        if one is not None and two is not None:
            seeds = [seed for seed in one.seeds if seed in two.seeds]
            pair = f"{one.label} and {two.label}"
            same_images(pair, (one.image_ids, one.labels), (two.image_ids, two.labels))
            if seeds:
                return measure([(1.0, one), (-1.0, two)], seeds, metric, clusters_of(one, clusters))
        of_searches = [
            [value - other.scores[seed] for seed, value in scores.items() if seed in other.scores]
            for scores in first.searches
        ]
        known = [differences for differences in of_searches if differences]
        # Each of several searches is one draw, with the mean of its retrainings.
        return joint(known[0] if len(known) == 1 else list(map(fmean, known)), None, "")

    return difference


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
    return {
        f"{side}_factor": gap.factor,
        f"{side}_difference": gap.value,
        **joint_columns(gap.joint, f"{side}_"),
        f"{side}_verdict": gap.verdict,
    }


def range_frame(ranges: Sequence[RobustRange], metric: str) -> pd.DataFrame:
    """Return one line for each method and factor; `within` is empty where it is not known."""
    return pd.DataFrame(
        [
            {"family": robust.family, "metric": metric, "label": robust.label, "factor": name}
            | {"shortfall": short, "upper": upper, "within": inside}
            for robust in ranges
            for name, short, upper, inside in zip(
                robust.names, robust.shortfall, robust.upper, robust.within, strict=True
            )
        ]
    )


def crossing_text(
    crossings: Sequence[Crossing], metric: str, *, several: bool = False
) -> list[Part]:
    """Return the changes of order as text; `several`: some searches were repeated."""
    if not crossings:
        return [f"No two methods change their order in mean test {metric} between factors."]
    beyond = [crossing for crossing in crossings if crossing.verdict == "beyond"]
    counts = Counter(crossing.verdict for crossing in crossings)
    said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in ORDER if counts[verdict])
    lines: list[Part] = [
        f"Changes of order in mean test {metric} between factors: {said}. Beyond: on both sides "
        f"the 95 % interval of the difference over test images and {_over(several)} together "
        "leaves 0 out; not corrected for the number of pairs, and without the spread over "
        f"searches{' that were not repeated' if several else ''}, splits and data sets. The first "
        "is better below, the other above; the factor is interpolated in its logarithm. Those "
        "beyond are shown, all of them by --part crossings --format csv."
    ]
    families = {
        crossing.family: [other for other in beyond if other.family == crossing.family]
        for crossing in beyond
    }
    header = ("better below", "better above", "factor", "difference below", "above")
    for family, members in families.items():
        cells = [
            [
                *(
                    crossing.first,
                    crossing.other,
                    f"{crossing.at:.3g}",
                    _side(crossing.below, metric),
                ),
                _side(crossing.above, metric),
            ]
            for crossing in members
        ]
        lines += ["", family, Table(header, cells, n_keys=2)]
    return lines


def range_text(
    ranges: Sequence[RobustRange], metric: str, margin: float = MARGIN, *, several: bool = False
) -> list[Part]:
    """Return the robust ranges as text; `several`: some searches were repeated."""
    allowed = f"{100 * margin:g} points" if METRICS[metric].percent else f"{margin:g}"
    lines: list[Part] = [
        f"Robust range: factors at which a method is shown to fall short of the best in test "
        f"{metric} by less than {allowed} (--margin), by the one-sided 95 % bound over test "
        f"images and {_over(several)}; where it is not known, more images or retrainings would "
        f"tell. {'One' if several else 'One search, one'} split; what lies between two factors was "
        "not measured."
    ]
    for family in dict.fromkeys(one.family for one in ranges):
        cells = [_range_cells(one) for one in ranges if one.family == family]
        lines += ["", family, Table(("method", "within at", "range", "not known"), cells)]
    return lines


def _over(several: bool) -> str:
    return "retrainings (searches, where repeated)" if several else "retrainings"


def _range_cells(robust: RobustRange) -> list[str]:
    spans = [low if low == high else f"{low} to {high}" for low, high in robust.ranges]
    unknown_at = [
        name for name, inside in zip(robust.names, robust.within, strict=True) if inside is None
    ]
    count = f"{robust.n_within} of {len(robust.names)}"
    return [robust.label, count, ", ".join(spans) or "–", ", ".join(unknown_at) or "–"]


def _side(gap: Gap, metric: str) -> str:
    percent = METRICS[metric].percent
    return f"{gap.name}: {with_bounds(gap.value, gap.joint.interval, '+', in_percent=percent)}"
