"""Every trial of every study: parallel coordinates of its settings and its value on val."""

from math import isnan

from lmd_bench.leaderboard.studies.rules import score
from lmd_bench.report.blocks import (
    Block,
    Cell,
    Figure,
    Head,
    Heading,
    Picture,
    Section,
    Table,
    TableRow,
    Text,
    count,
    key,
    percent,
    words,
)
from lmd_bench.report.context import Context
from lmd_bench.report.drawing.canvas import extent
from lmd_bench.report.drawing.parallel import Setting, Track, parallel_chart
from lmd_bench.report.searched import Searched

_INTRO = (
    "Each line is a trial that runs down through its settings to its value on val. The selected "
    "trial is thick; the other trials of the best quarter are solid and coloured, the rest thin "
    "and grey. A line has a gap where a trial did not have that setting. Settings that did not "
    "vary are left out. Failed trials have no value and no line; they are in the table.",
)
Value = int | float | str | None


def section(context: Context) -> Section | None:
    """Return the trials of each task; None where nothing was searched."""
    blocks: list[Block] = []
    for number, task in enumerate(context.tasks):
        members = context.searched[task]
        figure = _figure(context, f"trials-{number}", task, members)
        blocks += [Heading(task, task=task), figure]
    return Section("All trials", (Text(_INTRO), *blocks)) if blocks else None


def _figure(context: Context, name: str, task: str, members: list[Searched]) -> Figure:
    pictures = [
        picture
        for number, member in enumerate(members)
        if (picture := _picture(context, f"{name}-{number}", task, member)) is not None
    ]
    return Figure(
        title="Trials",
        caption=f"Settings and {context.rule.name} of the trials that ended well.",
        command=context.redraw("trials"),
        pictures=tuple(pictures),
        numbers=tuple(_numbers(context, task, member) for member in members),
        task=task,
    )


def _values(context: Context, searched: Searched) -> list[float]:
    scores = (score(row, context.rule, searched.study.runs(row)) for row in searched.rows)
    return [float("nan") if value is None else value for value in scores]


def _picture(context: Context, name: str, task: str, searched: Searched) -> Picture | None:
    values = _values(context, searched)
    bounds = extent(values)
    if bounds is None or not searched.varied:
        return None
    low, high = (100 * bounds[0], 100 * bounds[1]) if bounds[0] < bounds[1] else (0.0, 100.0)
    last = Setting(f"{context.rule.name}, %", low, high)
    ranked = sorted((value for value in values if not isnan(value)), reverse=True)
    upper = ranked[max(0, round(len(ranked) / 4) - 1)]
    selected = searched.study.selected(context.rule)
    tracks = [
        Track(
            {**_shown(trial.params), last.label: 100 * value},
            _kind(value, upper, selected is not None and row["key"] == selected["key"]),
        )
        for row, trial, value in zip(searched.rows, searched.trials, values, strict=True)
        if not isnan(value)
    ]
    n_failed = len(values) - len(ranked)
    failed = f", {n_failed} without a value" if n_failed else ""
    label = searched.study.label
    description = (
        f"{len(ranked)} trials over {', '.join(searched.varied)}; from {100 * bounds[0]:.1f} to "
        f"{100 * bounds[1]:.1f} %."
    )
    svg = parallel_chart(
        name, f"Trials of {label} on {task}", description, [*searched.settings(), last], tracks
    )
    return Picture(svg, f"{label} · {len(ranked)} trials{failed}", task, label)


def _kind(value: float, upper: float, chosen: bool) -> str:
    if chosen:
        return "best"
    return "upper" if value >= upper else "rest"


def _shown(params: dict[str, int | float | str | bool]) -> dict[str, Value]:
    return {
        name: str(value) if isinstance(value, bool) else value for name, value in params.items()
    }


def _numbers(context: Context, task: str, searched: Searched) -> Table:
    selected = searched.study.selected(context.rule)
    rows: list[TableRow] = []
    for row, trial, value in zip(
        searched.rows, searched.trials, _values(context, searched), strict=True
    ):
        chosen = selected is not None and row["key"] == selected["key"]
        status = row["status"] if row["status"] != "ok" or not chosen else "ok, selected"
        cells = [count(row["trial_number"]), percent(value), words(status)]
        cells += [_setting(trial.params.get(name)) for name in searched.varied]
        rows.append(TableRow((*cells, key(row["key"]))))
    names = [Head(name) for name in searched.varied]
    heads = (Head("Trial"), Head("Val, %"), Head("Outcome"), *names, Head("Row"))
    caption = f"Trials of {searched.study.label}, {task}"
    return Table(caption, heads, tuple(rows), sortable=True, task=task, method=searched.study.label)


def _setting(value: int | float | str | bool | None) -> Cell:
    if value is None:
        return Cell("", None)
    if isinstance(value, float | int) and not isinstance(value, bool):
        return Cell(f"{value:.4g}", float(value))
    return words(str(value))
