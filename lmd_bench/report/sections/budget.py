"""Best so far on val against trials and against hours, had the trials come in any order."""

from collections.abc import Sequence
from math import isnan

import numpy as np
import pandas as pd

from lmd_bench.leaderboard.studies.budget import Unit
from lmd_bench.leaderboard.tuning import curve_frame
from lmd_bench.report.blocks import (
    Block,
    Cell,
    Figure,
    Heading,
    Key,
    Picture,
    Section,
    Table,
    Text,
    missing,
    words,
)
from lmd_bench.report.blocks import heads as table_heads
from lmd_bench.report.blocks import row as table_row
from lmd_bench.report.context import Context
from lmd_bench.report.drawing.canvas import (
    N_STYLES,
    Axis,
    Frame,
    extent,
    nice_ticks,
    percent_axis,
    tick_text,
)
from lmd_bench.report.drawing.lines import Series, line_chart

_UNITS: dict[Unit, str] = {"trials": "trials", "hours": "hours"}
_TOGETHER = Frame(440, 270)
_APART = Frame(230, 150, left=38, bottom=36)
_SURE = 0.95  # of the orders that found anything: a mean of the lucky ones alone would mislead
_N_LISTED = 10  # points of a curve in its table
_INTRO = (
    "The best value on val so far, by what was spent: the mean and the band from 5 to 95 % of the "
    "orders in which the same trials might have come. It takes trials as exchangeable, which those "
    "of a learning sampler are not quite, and knows nothing of trials that were never run. A curve "
    "begins where 95 % of the orders have a trial that ended well; its band ends at half of what "
    "was spent, as all orders of the same trials end alike.",
)


def section(context: Context) -> Section | None:
    """Return the curves of every task; None where no trial ended well."""
    blocks: list[Block] = []
    for number, task in enumerate(context.tasks):
        found = [
            figure
            for unit in _UNITS
            if (figure := _figure(context, f"budget-{number}-{unit}", task, unit)) is not None
        ]
        blocks += [Heading(task, task=task), *found] if found else []
    if not blocks:
        return None
    return Section("Budget curves", (Text(_INTRO), *blocks))


def _figure(context: Context, name: str, task: str, unit: Unit) -> Figure | None:
    frame = curve_frame(context.tasks[task], context.rule, unit)
    sure = frame.assign(mean=frame["mean"].where(frame["found"] >= _SURE))
    bounds = extent([*sure["mean"], *sure["low"], *sure["high"]])
    if bounds is None:
        return None
    curves = {str(label): part for label, part in sure.groupby("label", sort=True)}
    most = float(frame["spent"].max())
    x_ticks = [tick for tick in nice_ticks(0, most) if tick <= most]
    if unit == "trials":
        x_ticks = [tick for tick in x_ticks if tick.is_integer()]
    axes = (
        Axis(_UNITS[unit], tuple(x_ticks), 0.0, most),
        percent_axis(100 * bounds[0], 100 * bounds[1]),
    )
    series = [_series(label, part, context.styles[task, label]) for label, part in curves.items()]
    together = len(series) <= N_STYLES
    draw = _together if together else _apart
    return Figure(
        title=f"Best so far against {_UNITS[unit]}",
        caption=f"Best {context.rule.name} so far in %, by {_UNITS[unit]} spent.",
        command=context.command("tuning", "--against", unit),
        pictures=draw(name, task, unit, axes, series),
        legend=tuple(Key(curve.label, curve.style) for curve in series) if together else (),
        numbers=(_numbers(task, unit, curves),),
        task=task,
        size="half" if together else "small",
    )


def _series(label: str, part: pd.DataFrame, style: int) -> Series:
    values = (100 * part[name].to_numpy(dtype=np.float64) for name in ("mean", "low", "high"))
    mean, low, high = (list(map(float, value)) for value in values)
    return Series(label, part["spent"].tolist(), mean, low, high, style)


def _together(
    name: str, task: str, unit: Unit, axes: tuple[Axis, Axis], series: Sequence[Series]
) -> tuple[Picture, ...]:
    title = f"Best so far against {_UNITS[unit]} on {task}"
    description = "; ".join(_ends(one) for one in series)
    return (Picture(line_chart(name, title, description, _TOGETHER, axes, series), "", task),)


def _apart(
    name: str, task: str, unit: Unit, axes: tuple[Axis, Axis], series: Sequence[Series]
) -> tuple[Picture, ...]:
    """Return a picture for each method, the others as shadows."""
    pictures: list[Picture] = []
    for number, one in enumerate(series):
        alone = Series(one.label, one.x, one.y, one.low, one.high)
        shadows = [
            Series(other.label, *_thinned(other), muted=True)
            for other in series
            if other is not one
        ]
        title = f"{one.label}: best so far against {_UNITS[unit]} on {task}"
        svg = line_chart(f"{name}-{number}", title, _ends(one), _APART, axes, [*shadows, alone])
        pictures.append(Picture(svg, one.label, task, one.label))
    return tuple(pictures)


def _thinned(series: Series) -> tuple[list[float], list[float]]:
    """Return few points of a shadow: all of them in every picture would fill the file."""
    chosen = np.unique(np.linspace(0, len(series.x) - 1, 12).round().astype(int))
    return [series.x[i] for i in chosen], [series.y[i] for i in chosen]


def _ends(series: Series) -> str:
    known = [value for value in series.y if not isnan(value)]
    if not known:
        return f"{series.label}: too few trials ended well"
    return f"{series.label} goes from {known[0]:.1f} to {known[-1]:.1f} %"


def _numbers(task: str, unit: Unit, curves: dict[str, pd.DataFrame]) -> Table:
    most = max(float(part["spent"].max()) for part in curves.values())
    points = np.linspace(most / _N_LISTED, most, _N_LISTED)
    if unit == "trials":
        points = np.unique(np.maximum(points.round(), 1))
    rows = [
        table_row(words(label), *(_at(part, float(point)) for point in points), method=label)
        for label, part in curves.items()
    ]
    heads = table_heads("Method", *(f"{tick_text(point)} {unit}" for point in points))
    caption = f"Best so far in % (5 to 95 % of the orders) against {_UNITS[unit]}, {task}"
    return Table(caption, heads, tuple(rows), task=task)


def _at(part: pd.DataFrame, point: float) -> Cell:
    reached = part[part["spent"] <= point * (1 + 1e-9)]
    ended = float(part["spent"].max()) < point * (1 - 1e-9)
    if ended or not len(reached) or isnan(last := reached["mean"].iloc[-1]):
        return missing()
    low, high = reached["low"].iloc[-1], reached["high"].iloc[-1]
    band = "" if isnan(low + high) else f"{100 * low:.1f} to {100 * high:.1f}"
    return Cell(f"{100 * last:.1f}", float(last), note=band)
