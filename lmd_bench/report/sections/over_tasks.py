"""Methods over all tasks, run by run: interquartile means and performance profiles."""

import numpy as np

from lmd_bench.core.errors import UserError
from lmd_bench.leaderboard.draws import TaskDraws, draw
from lmd_bench.leaderboard.first_places import share
from lmd_bench.leaderboard.over_tasks import THRESHOLDS, UNIT, OverTasks, over_tasks
from lmd_bench.leaderboard.tables.text import bounds
from lmd_bench.report.blocks import (
    Block,
    Cell,
    Figure,
    Listing,
    Section,
    Table,
    TableRow,
    Text,
    missing,
    notes,
    percent,
    words,
)
from lmd_bench.report.blocks import heads as table_heads
from lmd_bench.report.blocks import row as table_row
from lmd_bench.report.context import Context
from lmd_bench.report.drawing.canvas import Axis
from lmd_bench.report.drawing.lines import Series
from lmd_bench.report.drawing.multiples import are_together, curves, legend

_TICKS = (0, 20, 40, 60, 80, 100)
_AXES = (Axis("above", _TICKS, 0, 100), Axis("", _TICKS, 0, 100))


def section(context: Context) -> Section | None:
    """Return the methods over tasks; None for one task, or without a method on all of them."""
    draws: dict[str, TaskDraws] = {}
    for task, methods in context.judged.items():
        try:
            draws |= {task: draw(methods, task)} if methods else {}
        except UserError:  # judged on other images
            continue
    over = over_tasks(draws)
    if over is None:
        return None
    command = context.command("ranks")
    lines = [f"Left out, as they lack runs of a task: {', '.join(over.left_out)}."]
    blocks: list[Block] = [
        Text((_intro(over), *filter(None, (over.said_of_mean, over.said_of_spread)))),
        Listing(_table(over), command),
        *notes(lines if over.left_out else []),
        _figure(context, over),
    ]
    return Section("Over all tasks", tuple(blocks))


def _intro(over: OverTasks) -> str:
    return (
        f"All {over.n_runs} runs of a method on {len(over.tasks)} tasks together, each task "
        f"weighing the same. {UNIT} Intervals and bands are 95 % over test images and retrainings "
        "of these tasks; of other tasks they say nothing."
    )


def _table(over: OverTasks) -> Table:
    rows = [
        table_row(
            words(name),
            percent(float(over.iqm.values[place])),
            words(bounds(over.interval(place))),
            missing()
            if np.isnan(over.first[place])
            else Cell(share(float(over.first[place])), float(over.first[place])),
            method=name,
        )
        for place, name in enumerate(over.methods)
    ]
    caption = (
        "Interquartile mean (IQM): of the middle half of the runs. First: share of draws in which "
        "it is the highest"
    )
    return Table(caption, table_heads("Method", "IQM", "95 %", "First"), tuple(rows), sortable=True)


def _figure(context: Context, over: OverTasks) -> Figure:
    profiles = over.profiles
    places = (100 * THRESHOLDS).tolist()
    series = [
        Series(
            name,
            places,
            *((100 * of[number]).tolist() for of in (profiles.values, profiles.low, profiles.high)),
            style=number,
        )
        for number, name in enumerate(over.methods)
    ]
    title = "share of runs above a score"
    return Figure(
        title="Performance profiles",
        caption="Share of runs in % whose score lies above that of the axis; the band holds at "
        "each place alone.",
        command=context.command("ranks", "--part", "profiles", "--format", "csv"),
        pictures=curves("over-tasks", title, _AXES, series, _said),
        legend=legend(series),
        numbers=(_numbers(over),),
        size="half" if are_together(series) else "small",
    )


def _said(series: Series) -> str:
    half = next((x for x, y in zip(series.x, series.y, strict=True) if y < 50), 100)
    return f"{series.label}: half of its runs lie above {half:.0f} or less"


def _numbers(over: OverTasks) -> Table:
    named = [THRESHOLDS.tolist().index(tick / 100) for tick in _TICKS[:-1]]
    rows: list[TableRow] = []
    for place, name in enumerate(over.methods):
        cells = [
            Cell(
                f"{100 * over.profiles.values[place, at]:.0f}",
                float(over.profiles.values[place, at]),
                note=""
                if np.isnan(over.profiles.low[place, at])
                else f"{100 * over.profiles.low[place, at]:.0f} to "
                f"{100 * over.profiles.high[place, at]:.0f}",
            )
            for at in named
        ]
        rows.append(table_row(words(name), *cells, method=name))
    heads = table_heads("Method", *(f"> {tick}" for tick in _TICKS[:-1]))
    return Table("Share of runs in % (95 %) above a score", heads, tuple(rows))
