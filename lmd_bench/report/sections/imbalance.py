"""Scores on test against the imbalance factor, where a data set was cut at several."""

from math import isnan

import pandas as pd

from lmd_bench.leaderboard.imbalance.curves import imbalance_frame
from lmd_bench.report.blocks import (
    Block,
    Figure,
    Heading,
    Section,
    Table,
    Text,
    missing,
    percent,
    words,
)
from lmd_bench.report.blocks import heads as table_heads
from lmd_bench.report.blocks import row as table_row
from lmd_bench.report.context import Context
from lmd_bench.report.drawing.canvas import Axis, extent, percent_axis
from lmd_bench.report.drawing.lines import Series
from lmd_bench.report.drawing.multiples import are_together, curves, legend
from lmd_bench.stats.metrics import METRICS

_SHOWN = {metric.name: metric.title for metric in METRICS.values() if metric.in_board}
_INTRO = (
    "One curve is one method on one data set and split, tuned and confirmed anew at each imbalance "
    "factor. The factor is measured: images of the largest training class over those of the "
    "smallest.",
)


def section(context: Context) -> Section | None:
    """Return the curves; None where no data set has scores at more than one factor."""
    frame = imbalance_frame(context.studies, context.rule)
    frame = frame[frame["metric"].isin(list(_SHOWN))]
    blocks: list[Block] = []
    for number, (family, part) in enumerate(frame.groupby("family", sort=False)):
        if part["measured_factor"].nunique() > 1 and not part["mean"].isna().all():
            blocks.append(Heading(str(family)))
            blocks += [
                _figure(context, f"imbalance-{number}-{metric}", str(family), metric, part)
                for metric in _SHOWN
                if not part.loc[part["metric"] == metric, "mean"].isna().all()
            ]
    return Section("Imbalance curves", (Text(_INTRO), *blocks)) if blocks else None


def _figure(context: Context, name: str, family: str, metric: str, part: pd.DataFrame) -> Figure:
    chosen = part[part["metric"] == metric]
    of_methods = {str(label): curve for label, curve in chosen.groupby("label", sort=True)}
    series = [
        _series(label, curve, number) for number, (label, curve) in enumerate(of_methods.items())
    ]
    factors = sorted({float(factor) for factor in chosen["measured_factor"]})
    bounds = extent([value for one in series for value in (*one.y, *one.low, *one.high)])
    axes = (
        Axis("imbalance factor (log)", tuple(factors), factors[0] / 1.15, factors[-1] * 1.15, True),
        percent_axis(*(bounds or (0.0, 100.0))),
    )
    title = f"{_SHOWN[metric]} against the imbalance factor, {family}"
    return Figure(
        title=_SHOWN[metric],
        caption="Test, in %; mean and SD over the retraining seeds of one configuration. Not the "
        f"factor alone changes. {_train(chosen)}",
        command=context.command("imbalance", "--metric", metric),
        pictures=curves(name, title, axes, series, _said),
        legend=legend(series),
        numbers=(_numbers(title, factors, of_methods),),
        size="half" if are_together(series) else "small",
    )


def _train(chosen: pd.DataFrame) -> str:
    """Return how many images train has at each factor, and its largest class."""
    tasks = chosen.drop_duplicates("measured_factor").sort_values("measured_factor")
    sizes = [
        f"{row['n_train']:,} (largest class {row['n_largest']:,}) at {row['measured_factor']:.4g}"
        for row in tasks.to_dict("records")
    ]
    return f"Train images: {', '.join(sizes)}."


def _series(label: str, curve: pd.DataFrame, style: int) -> Series:
    known = [row for row in curve.to_dict("records") if not isnan(row["mean"])]
    sds = [0.0 if isnan(row["sd"]) else 100 * row["sd"] for row in known]
    means = [100 * row["mean"] for row in known]
    return Series(
        label,
        [row["measured_factor"] for row in known],
        means,
        [mean - sd for mean, sd in zip(means, sds, strict=True)],
        [mean + sd for mean, sd in zip(means, sds, strict=True)],
        style,
        bars=True,
    )


def _said(one: Series) -> str:
    values = ", ".join(f"{y:.1f} at {x:.4g}" for x, y in zip(one.x, one.y, strict=True))
    return f"{one.label}: {values or 'missing'}"


def _numbers(title: str, factors: list[float], of_methods: dict[str, pd.DataFrame]) -> Table:
    rows = []
    for label, curve in of_methods.items():
        cells = {row["measured_factor"]: row for row in curve.to_dict("records")}
        rows.append(
            table_row(
                words(label),
                *(
                    percent(cells[factor]["mean"], cells[factor]["sd"])
                    if factor in cells
                    else missing()
                    for factor in factors
                ),
                method=label,
            )
        )
    return Table(title, table_heads("Method", *(f"{f:.4g}" for f in factors)), tuple(rows))
