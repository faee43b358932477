"""Best so far on val against trials and against hours, had the trials come in any order."""

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
    Section,
    Table,
    Text,
    missing,
    words,
)
from lmd_bench.report.blocks import heads as table_heads
from lmd_bench.report.blocks import row as table_row
from lmd_bench.report.context import Context
from lmd_bench.report.drawing.canvas import Axis, extent, nice_ticks, percent_axis, tick_text
from lmd_bench.report.drawing.lines import Series
from lmd_bench.report.drawing.multiples import are_together, curves, legend

_UNITS: dict[Unit, str] = {"trials": "trials", "hours": "hours"}
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
    of_methods = {str(label): part for label, part in sure.groupby("label", sort=True)}
    most = float(frame["spent"].max())
    x_ticks = [tick for tick in nice_ticks(0, most) if tick <= most]
    if unit == "trials":
        x_ticks = [tick for tick in x_ticks if tick.is_integer()]
    axes = (
        Axis(_UNITS[unit], tuple(x_ticks), 0.0, most),
        percent_axis(100 * bounds[0], 100 * bounds[1]),
    )
    series = [
        _series(label, part, context.styles[task, label]) for label, part in of_methods.items()
    ]
    title = f"Best so far against {_UNITS[unit]}"
    return Figure(
        title=title,
        caption=f"Best {context.rule.name} so far in %, by {_UNITS[unit]} spent.",
        command=context.command("tuning", "--against", unit),
        pictures=curves(name, f"{title}, {task}", axes, series, _ends, task),
        legend=legend(series),
        numbers=(_numbers(task, unit, of_methods),),
        task=task,
        size="half" if are_together(series) else "small",
    )


def _series(label: str, part: pd.DataFrame, style: int) -> Series:
    values = (100 * part[name].to_numpy(dtype=np.float64) for name in ("mean", "low", "high"))
    mean, low, high = (list(map(float, value)) for value in values)
    return Series(label, part["spent"].tolist(), mean, low, high, style)


def _ends(series: Series) -> str:
    known = [value for value in series.y if not isnan(value)]
    if not known:
        return f"{series.label}: too few trials ended well"
    return f"{series.label} goes from {known[0]:.1f} to {known[-1]:.1f} %"


def _numbers(task: str, unit: Unit, of_methods: dict[str, pd.DataFrame]) -> Table:
    most = max(float(part["spent"].max()) for part in of_methods.values())
    points = np.linspace(most / _N_LISTED, most, _N_LISTED)
    if unit == "trials":
        points = np.unique(np.maximum(points.round(), 1))
    rows = [
        table_row(words(label), *(_at(part, float(point)) for point in points), method=label)
        for label, part in of_methods.items()
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
