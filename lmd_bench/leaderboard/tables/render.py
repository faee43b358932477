"""The leaderboard as text: a terminal table, Markdown, LaTeX, CSV or JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich.console import Console
from rich.text import Text

from lmd_bench.core.errors import unknown
from lmd_bench.leaderboard.answer import html, terminal_width
from lmd_bench.leaderboard.imbalance.over_range import RangeLine, range_frame, range_text
from lmd_bench.leaderboard.missing import Gap
from lmd_bench.leaderboard.studies.budget import Budget
from lmd_bench.leaderboard.studies.rules import SelectionRule
from lmd_bench.leaderboard.tables.columns import (
    INTERVAL,
    MARKED,
    METHOD,
    REPEATS,
    SEARCHED,
    SWEPT,
    USUAL,
    Column,
    metric_columns,
)
from lmd_bench.leaderboard.tables.latex import latex
from lmd_bench.leaderboard.tables.text import json_value, lay_out, markdown_row, text_table
from lmd_bench.stats.metrics import PRIMARY
from lmd_bench.store.metrics import known_metrics

Line = dict[str, Any]
FORMATS = ("table", "markdown", "latex", "csv", "json")
_GAPS = (2, 1)  # blanks between the columns of a terminal table: the first if it loses no column
_METHOD_WIDTH = 24  # longer names are folded
GROUPS = "third"  # the scheme of many, medium and few
_BETTER = {True: "higher is better", False: "lower is better"}
POINT = "•"  # the mark where there is no bold
FEWER = "* fewer trials, both stages together, than others of its task (its space may be smaller)"
_NOTHING = "No study is confirmed yet, so there is no line to show."


@dataclass(frozen=True)
class Leaderboard:
    """One line per confirmed study; `print(board)` shows the text, a notebook the frame."""

    frame: pd.DataFrame  # best first within its task
    notes: tuple[str, ...]  # sentences on what is missing, failed or unequal
    rule: SelectionRule
    budget: Budget | None = None  # of every study; None: all trials
    metrics: tuple[str, ...] = ()  # asked for: mean, SD and undefined seeds of each are columns too
    gaps: tuple[Gap, ...] = ()  # what nobody ran; the notes tell of them too
    over_range: tuple[RangeLine, ...] = ()  # studies that drew their imbalance factors

    def render(self, format: str = "table", *, width: int | None = None) -> str:
        """Return it as text, like `render`.

        Raises:
            UserError: no such format.
        """
        return render(self, format, width=width)

    def __str__(self) -> str:
        """Return the text for a terminal."""
        return render(self)

    def _repr_html_(self) -> str:
        return html(self.frame, self.notes, self.rule)


def render(
    board: Leaderboard, format: str = "table", *, width: int | None = None, color: bool = False
) -> str:
    """Return the leaderboard as text, with a newline at its end.

    Args:
        board: What to show.
        format: `table` (for a terminal), `markdown`, `latex`, `csv` or `json`. The last two carry
            fractions and every column; CSV has no room for the notes.
        width: Columns of the terminal; None asks the terminal, and takes 120 where there is none.
            A narrow one drops the less needed columns and says which.
        color: Whether the terminal table may carry colour codes.

    Raises:
        UserError: no such format.
    """
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    if format == "csv":
        return board.frame.to_csv(index=False)
    if format == "json":
        return _json(board)
    if format == "latex":
        lines = _lines(board)
        notes = _footnotes(board, lines, _columns(board), "")
        return latex(lines, board.metrics, header(board), notes)
    if format == "markdown":
        return _markdown(board)
    return _terminal(board, width or terminal_width(), color)


def _lines(board: Leaderboard) -> list[Line]:
    return [{str(k): v for k, v in line.items()} for line in board.frame.to_dict("records")]


def _tasks(lines: Sequence[Line]) -> dict[str, list[Line]]:
    return {
        task: [line for line in lines if line["task"] == task]
        for task in dict.fromkeys(line["task"] for line in lines)
    }


def _title(task: str, lines: Sequence[Line]) -> str:
    return f"{task} · {_chance(lines)}"


def _chance(lines: Sequence[Line]) -> str:
    chance, n_classes = lines[0]["chance"], lines[0]["n_classes"]
    train = f"{lines[0]['n_train']:,} train images, {lines[0]['n_largest']:,} of the largest class"
    return f"{n_classes} classes, chance {100 * chance:.1f}; {train}"


def _columns(board: Leaderboard) -> tuple[Column, ...]:
    repeated = (board.frame["n_searches"] > 1) | (board.frame["n_splits"] > 1)
    repeats = (REPEATS,) if repeated.any() else ()
    if board.metrics:
        method, *others = metric_columns(board.metrics)
        return method, *repeats, *others
    # Rows alone do not know the spread over images, and those of earlier versions not what was
    # searched: no column of dashes then.
    needs = {
        INTERVAL: f"test_{PRIMARY.name}_low",
        SEARCHED: "n_searched",
        SWEPT: "n_swept",
    }
    method, *others = (
        column
        for column in USUAL
        if column not in needs or board.frame[needs[column]].notna().any()
    )
    return method, *repeats, *others


def header(board: Leaderboard) -> list[str]:
    """Say what the numbers are, over what the spread is, the groups, and how it was selected."""
    if board.frame.empty:
        return [_NOTHING]
    seeds = sorted({int(n) for n in board.frame["n_seeds"] if n > 0}) or [0]
    counts = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    watermark = [board.rule.watermark] if board.rule.watermark else []
    equal = [] if board.budget is None else [f"At equal cost: {board.budget.description}."]
    return [
        *watermark,
        f"{_scores_of(board)}; mean ± SD over the retraining seeds of one configuration "
        f"(n = {counts}), not over searches, splits or data sets.",
        f"Tuned: selected by {board.rule.name} ({board.rule.description}).",
        *equal,
        "Many, med., few: mean test recall in % of the classes of each third by training images "
        f"(group scheme: {GROUPS}).",
    ]


def _scores_of(board: Leaderboard) -> str:
    if not board.metrics:
        return f"Test {PRIMARY.name.replace('_', ' ')} in %, {_BETTER[PRIMARY.higher_is_better]}"
    plain = [name for name in board.metrics if not known_metrics()[name].percent]
    but = f", but {', '.join(plain)} as they are" if plain else ""
    return f"Metrics on test in %{but}; higher is better, where ↓ stands lower"


def is_marked(line: Line, column: Column) -> bool:
    """Return whether the cell of a line bears the mark."""
    return column.is_marked and bool(line["with_best"])


def _footnotes(
    board: Leaderboard, lines: Sequence[Line], shown: Sequence[Column], mark: str
) -> list[str]:
    said = dict.fromkeys(column.meaning for column in shown if column.meaning)
    meanings = " ".join(said) if lines else ""
    fewer = any(line["fewer_trials"] for line in lines)
    columns = _columns(board)
    headers = {column.header for column in shown}
    left_out = [column.header for column in columns if column.header not in headers]
    narrow = ", ".join(left_out).replace("\n", " ")
    has_marks = mark and any(is_marked(line, column) for line in lines for column in shown)
    return [
        *([f"{mark}: {MARKED}"] if has_marks else []),
        *([meanings] if meanings else []),
        *([FEWER] if fewer else []),
        *([f"Too narrow for: {narrow}; see --format csv."] if left_out else []),
        *(f"Note: {note}." for note in board.notes),
    ]


def _terminal(board: Leaderboard, width: int, color: bool) -> str:
    console = Console(
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,  # whatever TERM says
        markup=False,
        emoji=False,
    )
    lines = _lines(board)
    gap, blocks = _blocks(_columns(board), lines, width, fold=bool(board.metrics))
    shown = [column for block in blocks for column in block]
    with console.capture() as capture:
        for text in header(board):
            console.print(text, highlight=False)
        for task, members in _tasks(lines).items():
            console.print()
            console.print(task, style="bold", highlight=False)
            console.print(_chance(members), highlight=False)
            for place, block in enumerate(blocks):
                if place:
                    console.print()
                console.print(_table(members, block, gap, width), highlight=False, soft_wrap=True)
        for text in _footnotes(board, lines, shown, POINT):
            console.print(text, highlight=False)
        if board.over_range:
            console.print()
            for text in lay_out(range_text(board.over_range), width):
                console.print(text, highlight=False, soft_wrap=True)
    return capture.get()


def _blocks(
    columns: Sequence[Column], lines: Sequence[Line], width: int, *, fold: bool
) -> tuple[int, list[list[Column]]]:
    """Return the blanks between columns, and the columns of each table that a task takes.

    Args:
        columns: In their usual order, the method first.
        lines: What they hold.
        width: Of the terminal.
        fold: Whether columns that do not fit go into a further table; else the less needed ones
            are left out.
    """
    widths = {column.header: _width(column, lines) for column in columns}
    if fold:
        return _GAPS[0], _folded(columns, widths, width)
    if not lines:
        return _GAPS[0], [list(columns)]
    fits = {gap: _fitting(columns, widths, width, gap) for gap in _GAPS}
    gap = max(_GAPS, key=lambda gap: len(fits[gap]))
    return gap, [fits[gap]]


def _width(column: Column, lines: Sequence[Line]) -> int:
    texts = [*column.header.split("\n"), *(_pointed(line, column) for line in lines)]
    widest = max(len(text) for text in texts)
    return min(widest, _METHOD_WIDTH) if column is METHOD else widest


def _fitting(
    columns: Sequence[Column], widths: Mapping[str, int], width: int, gap: int
) -> list[Column]:
    """Return the columns that fit: taken by priority, shown in their usual order."""
    chosen: list[Column] = []
    room = width + gap
    for column in sorted(columns, key=lambda column: column.priority):
        needed = gap + widths[column.header]
        if needed > room and column.priority > 0:
            break
        chosen.append(column)
        room -= needed
    return [column for column in columns if column in chosen]


def _folded(columns: Sequence[Column], widths: Mapping[str, int], width: int) -> list[list[Column]]:
    """Return tables that hold all columns, each with the method first."""
    method, *others = columns
    blocks = [[method]]
    room = width - widths[method.header]
    for column in others:
        needed = _GAPS[0] + widths[column.header]
        if needed > room and len(blocks[-1]) > 1:
            blocks.append([method])
            room = width - widths[method.header]
        blocks[-1].append(column)
        room -= needed
    return blocks


def _table(lines: Sequence[Line], columns: Sequence[Column], gap: int, width: int) -> Text:
    heads = [column.header for column in columns]
    rows = [[_pointed(line, column) for column in columns] for line in lines]
    table = text_table(heads, rows, width=width, gap=gap, first_width=_METHOD_WIDTH)
    n_top = max(head.count("\n") for head in heads) + 1
    top, below = "\n".join(table[:n_top]), "\n".join(table[n_top:])
    return Text.assemble(Text(top, style="bold"), "\n" + below)


def _pointed(line: Line, column: Column) -> str:
    cell = column.cell(line)
    return f"{POINT} {cell}" if is_marked(line, column) else cell


def _markdown(board: Leaderboard) -> str:
    lines, columns = _lines(board), _columns(board)
    text = [*header(board), ""]
    for task, members in _tasks(lines).items():
        text += [f"### {_title(task, members)}", ""]
        text.append(markdown_row([column.header.replace("\n", " ") for column in columns]))
        text.append(markdown_row(["---", *("---:" for _ in columns[1:])]))
        text += [
            markdown_row(
                [column.cell(line) for column in columns],
                [is_marked(line, column) for column in columns],
            )
            for line in members
        ]
        text.append("")
    notes = [note.replace("*", "\\*") for note in _footnotes(board, lines, columns, "Bold")]
    text += [f"- {note}" for note in notes]
    for part in range_text(board.over_range):
        if isinstance(part, str):
            text += ["", part] if part else []
            continue
        text += ["", markdown_row(part.header)]
        text.append(markdown_row(["---", *("---:" for _ in part.header[1:])]))
        text += [markdown_row(cells) for cells in part.rows]
    return "\n".join(text).rstrip() + "\n"


def _json(board: Leaderboard) -> str:
    data = {
        "metric": f"test_{PRIMARY.name}",
        "higher_is_better": PRIMARY.higher_is_better,
        "spread": "sample standard deviation over the retraining seeds of one configuration",
        "selection": {"name": board.rule.name, "description": board.rule.description},
        "watermark": board.rule.watermark or None,
        "budget": None if board.budget is None else board.budget.description,
        "groups": GROUPS,
        "rows": [{k: json_value(v) for k, v in line.items()} for line in _lines(board)],
        "notes": list(board.notes),
    }
    if board.over_range:
        over_range = range_frame(board.over_range).to_dict("records")
        data["over_range"] = [{str(k): json_value(v) for k, v in of.items()} for of in over_range]
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
