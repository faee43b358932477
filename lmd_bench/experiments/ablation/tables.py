"""An ablation's numbers as tables of text: the cells, the effects, the shares."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

from lmd_bench.core.errors import unknown
from lmd_bench.core.text import clock
from lmd_bench.experiments.ablation.analysis import Effect, TaskAnalysis
from lmd_bench.experiments.ablation.contrasts import design_sentence, without_shares
from lmd_bench.experiments.ablation.frame import ablation_frame, share
from lmd_bench.experiments.ablation.scores import RULE, SCORES, CellScores
from lmd_bench.leaderboard.tables.columns import board_scores
from lmd_bench.leaderboard.tables.latex import escaped
from lmd_bench.leaderboard.tables.text import (
    bounds,
    json_value,
    lay_out,
    markdown_row,
    p_value,
    percent,
    text_table,
)
from lmd_bench.stats.joint import Joint
from lmd_bench.stats.metrics import PRIMARY
from lmd_bench.stats.spread import spread

_OTHERS = [score for score in board_scores() if score.metric is not PRIMARY]
_SHORT = {score.metric.name: score.short for score in _OTHERS}
# what a narrow terminal leaves out, in this order; recall of the rarest classes stays
_DROPPED = tuple(
    score.short
    for score in sorted(reversed(_OTHERS), key=lambda score: -score.priority)
    if score.priority > 1
)
_PARTS = ("Images", "Seeds")
_STATES = {"failed": "failed", "missing": "missing", "partial": "incomplete"}
FORMATS = ("table", "markdown", "latex", "csv", "json")


@dataclass(frozen=True)
class Sheet:
    """One table: a title, a header and rows, the first column to the left."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    dropped_first: tuple[str, ...] = ()  # columns that a narrow terminal leaves out, in this order


def sheets(analysis: TaskAnalysis) -> list[Sheet]:
    """Return the tables of an ablation on one task."""
    parts = [_cells(analysis)]
    kinds = {"main": "Main effects", "interaction": "Interactions of two"}
    for kind, title in kinds.items():
        members = [effect for effect in analysis.effects if effect.contrast.kind == kind]
        parts += [_effects(f"{title}, {analysis.task.label}", members)] if members else []
    shares = [e for e in analysis.effects if e.contrast.kind in ("shapley", "total")]
    return parts + ([_shares(f"Shapley shares, {analysis.task.label}", shares)] if shares else [])


def header_lines(analysis: TaskAnalysis) -> list[str]:
    """Say what was run and what the numbers are, over what their spread is."""
    record = analysis.record
    tuned = f"each cell tuned on val with {record.retune} trials of each stage"
    tuned = tuned if record.retune else "each cell at its one config, not tuned"
    reference = analysis.cells[record.reference].cell.title
    sentence = design_sentence(record)
    return [
        f"{record.title} ({record.name}, {record.mode}): {tuned}; {record.n_epochs} epochs.",
        *([sentence] if sentence else []),
        "Scores on test in %, mean ± SD over retraining seeds of one configuration "
        f"({RULE.name} selects it).",
        f"Changes are points against {reference}, paired by image and seed; [ ]: 95 % over "
        f"{analysis.over} and retrainings together. p Holm ({analysis.n_tests}): of no change, "
        f"Holm's correction over {analysis.n_tests} changes, of all tasks shown. Images: 95 % for "
        "these trained models alone; seeds: on these images alone, by Student's t (number of "
        "seeds). None holds the spread over searches, splits and data sets.",
    ]


def notes(analyses: Sequence[TaskAnalysis]) -> list[str]:
    """Say what failed, is missing, or cannot be had."""
    lines: list[str] = []
    for analysis in analyses:
        where = f" on {analysis.task.label}" if len(analyses) > 1 else ""
        states = {n: (c.status, c.cause) for n, c in analysis.cells.items() if c.status != "ok"}
        for status, cause in dict.fromkeys(states.values()):
            names = ", ".join(name for name, state in states.items() if state == (status, cause))
            lines.append(f"{_STATES[status]}{where}: {names} ({cause})")
        undone = [e for e in analysis.effects if e.reason]
        for reason in dict.fromkeys(e.reason for e in undone):
            titles = ", ".join(e.contrast.title for e in undone if e.reason == reason)
            lines.append(f"no value{where} of {titles}: {reason}")
        if blind := [n for n, c in analysis.cells.items() if c.seeds and c.judged is None]:
            lines.append(f"no interval over images{where}, for want of logits: {', '.join(blind)}")
    missing = dict.fromkeys(
        analysis.record.command
        for analysis in analyses
        if any("not run yet" in cell.cause for cell in analysis.cells.values())
    )
    lines += [f"what is not run yet is run by: {command}" for command in missing]
    return lines + list(
        dict.fromkeys(filter(None, (without_shares(analysis.record) for analysis in analyses)))
    )


def render(analyses: Sequence[TaskAnalysis], form: str, width: int | None = None) -> str:
    """Return ablations as text, with a newline at its end.

    Args:
        analyses: what to show, a table or more for each.
        form: one of `FORMATS`; csv and json carry fractions and every column, csv no notes.
        width: columns of the terminal; a narrow one drops the less needed columns and says which.

    Raises:
        UserError: no such format.
    """
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)
    if form == "csv":
        return ablation_frame(analyses).to_csv(index=False)
    if form == "json":
        return _json(analyses)
    makers: dict[str, Callable[[Sheet], list[str]]]
    makers = {"markdown": _markdown, "latex": _latex, "table": lambda sheet: _text(sheet, width)}
    mark = "% " if form == "latex" else ""
    lines: list[str] = []
    said: list[str] = []
    for analysis in analyses:
        header = header_lines(analysis)
        if header != said:
            lines += [*(mark + line for line in header), ""]
            said = header
        for sheet in sheets(analysis):
            lines += [*makers[form](sheet), ""]
    bullet = {"markdown": "- ", "latex": "% ", "table": "Note: "}[form]
    lines += [f"{bullet}{note}." for note in notes(analyses)]
    if form == "table" and width is not None:
        lines = lay_out(lines, width)
    return "\n".join(lines).rstrip() + "\n"


def _cells(analysis: TaskAnalysis) -> Sheet:
    changes = {effect.contrast.name: effect for effect in analysis.changes}
    holm = f"p Holm ({analysis.n_tests})"
    header = ("Cell", "Bal. acc.", "Change", holm, *_PARTS, *_SHORT.values())
    rows = [_cell(cell, changes.get(name)) for name, cell in analysis.cells.items()]
    return Sheet(
        analysis.task.label,
        (*header, "Runs", "Time", "Alone"),
        tuple(rows),
        dropped_first=("Alone", "Runs", "Time", *_DROPPED, *_PARTS),
    )


def _cell(cell: CellScores, change: Effect | None) -> tuple[str, ...]:
    over_seeds = spread(list(cell.values["balanced_accuracy"].values()))
    score = cell.status if isnan(over_seeds.mean) else percent(over_seeds.mean)
    score += "" if isnan(over_seeds.sd) else f" ± {percent(over_seeds.sd)}"
    score += " (partial)" if cell.status == "partial" else ""
    n_all = len(cell.seeds) + cell.n_failed
    cost = (f"{len(cell.seeds)}" + (f" of {n_all}" if cell.n_failed else ""),)
    cost += (clock(cell.seconds), clock(cell.standalone_seconds))
    if change is None:
        values = tuple(_mean(cell, name) for name in SCORES[1:])
        return (cell.cell.title, score, "(reference)", "", "", "", *values, *cost)
    return (
        cell.cell.title,
        score,
        _points(change.primary),
        p_value(change.p_holm),
        *_parts(change),
        *(_with_change(cell, change, name) for name in SCORES[1:]),
        *cost,
    )


def _effects(title: str, members: Sequence[Effect]) -> Sheet:
    header = ("Effect", "Bal. acc.", *_PARTS, *_SHORT.values())
    return Sheet(
        title, header, tuple(_effect(effect) for effect in members), (*_DROPPED[:-1], *_PARTS)
    )


def _effect(effect: Effect) -> tuple[str, ...]:
    contrast = effect.contrast
    name = " or ".join((contrast.title, *contrast.aliases))
    others = (percent(effect.estimates[score].value, "+") for score in SCORES[1:])
    return (name, _points(effect.primary), *_parts(effect), *others)


def _shares(title: str, members: Sequence[Effect]) -> Sheet:
    total = members[-1]
    rows: list[tuple[str, ...]] = []
    for effect in members:
        name, *others = _effect(effect)
        part = share(effect, total)
        rows.append((name, "" if isnan(part) else f"{100 * part:.0f} %", *others))
    header = ("Toggle", "Share", "Bal. acc.", *_PARTS, *_SHORT.values())
    return Sheet(title, header, tuple(rows), (*_DROPPED[:-1], *_PARTS))


def _mean(cell: CellScores, name: str) -> str:
    return percent(spread(list(cell.values[name].values())).mean)


def _with_change(cell: CellScores, change: Effect, name: str) -> str:
    value = change.estimates[name].value
    return _mean(cell, name) if isnan(value) else f"{_mean(cell, name)} ({percent(value, '+')})"


def _points(estimate: Joint) -> str:
    if isnan(estimate.value):
        return "–"
    return f"{percent(estimate.value, '+')} {bounds(estimate.interval, '+')}"


def _parts(effect: Effect) -> tuple[str, str]:
    """Return the intervals over images alone and over retrainings alone."""
    seeds = effect.primary.seeds
    over_seeds = "–" if isnan(seeds.low) else f"{bounds(seeds, '+')} ({effect.n_seeds})"
    return bounds(effect.primary.images, "+"), over_seeds


def _text(sheet: Sheet, width: int | None) -> list[str]:
    shown, dropped = list(sheet.header), list(sheet.dropped_first)
    left_out: list[str] = []
    while True:
        places = [sheet.header.index(name) for name in shown]
        lines = text_table(shown, [[row[place] for place in places] for row in sheet.rows])
        if width is None or max(map(len, lines)) <= width or not dropped:
            break
        left_out.append(dropped.pop(0))
        shown.remove(left_out[-1])
    ends = [f"Too narrow for: {', '.join(left_out)}; see --format csv."] if left_out else []
    if width is not None:
        cells = [[row[place] for place in places] for row in sheet.rows]
        lines = text_table(shown, cells, width=width)
    return [sheet.title, *lines, *ends]


def _markdown(sheet: Sheet) -> list[str]:
    rules = ["---", *("---:" for _ in sheet.header[1:])]
    rows = [sheet.header, rules, *sheet.rows]
    return [f"### {sheet.title}", "", *(markdown_row(row) for row in rows)]


def _latex(sheet: Sheet) -> list[str]:
    return [
        "\\begin{table}[t]",
        "\\centering",
        f"\\caption{{{_tex(sheet.title)}}}",
        f"\\begin{{tabular}}{{l{'r' * (len(sheet.header) - 1)}}}",
        "\\toprule",
        " & ".join(_tex(cell) for cell in sheet.header) + " \\\\",
        "\\midrule",
        *(" & ".join(_tex(cell) for cell in row) + " \\\\" for row in sheet.rows),
        "\\bottomrule",
        "\\end{tabular}",
        "\\end{table}",
    ]


def _tex(text: str) -> str:
    return escaped(text).replace("×", "$\\times$").replace("–", "--")


def _json(analyses: Sequence[TaskAnalysis]) -> str:
    lines: list[dict[str, Any]] = [
        {str(key): json_value(value) for key, value in line.items()}
        for line in ablation_frame(analyses).to_dict("records")
    ]
    data = {
        "header": list(
            dict.fromkeys(line for analysis in analyses for line in header_lines(analysis))
        ),
        "rows": lines,
        "notes": notes(analyses),
    }
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
