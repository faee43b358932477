"""The leaderboard as text: a terminal table, Markdown, LaTeX, CSV or JSON."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

from rich.console import Console
from rich.text import Text

from lmd_bench.durations import rough
from lmd_bench.errors import unknown
from lmd_bench.leaderboard.board import PRIMARY, Leaderboard
from lmd_bench.leaderboard.latex import latex
from lmd_bench.leaderboard.layout import table_text

Line = dict[str, Any]
FORMATS = ("table", "markdown", "latex", "csv", "json")
_GAPS = (2, 1)  # blanks between the columns of a terminal table: the first if it loses no column
_METHOD_WIDTH = 24  # longer names are folded
FEWER = "* fewer trials than the largest study of its task (its space may be smaller)"
_NOTHING = "No study is confirmed yet, so there is no line to show."


@dataclass(frozen=True)
class _Column:
    header: str
    cell: Callable[[Line], str]
    priority: int  # a narrow terminal drops the highest first; 0 is always shown
    meaning: str = ""


def _percent(line: Line, name: str) -> str:
    return "–" if isnan(line[name]) else f"{100 * line[name]:.1f}"


def _with_spread(line: Line, name: str) -> str:
    mean, sd = _percent(line, name), _percent(line, f"{name}_sd")
    return mean if sd == "–" else f"{mean} ± {sd}"


def _trials(line: Line) -> str:
    return f"{line['n_trials_ok']}/{line['n_trials']}" + ("*" if line["fewer_trials"] else "")


def _seeds(line: Line) -> str:
    n_failed = line["n_seeds_failed"]
    return f"{line['n_seeds']}" + (f" of {line['n_seeds'] + n_failed}" if n_failed else "")


_COLUMNS = (
    _Column("Method", lambda line: line["label"], 0),
    _Column("Bal. acc.\ntuned", lambda line: _with_spread(line, "test_balanced_accuracy"), 0),
    _Column(
        "Bal. acc.\ndefault", lambda line: _with_spread(line, "default_test_balanced_accuracy"), 3
    ),
    _Column("Macro\nF1", lambda line: _with_spread(line, "test_macro_f1"), 4),
    _Column("Many", lambda line: _percent(line, "test_many_recall"), 2),
    _Column("Med.", lambda line: _percent(line, "test_medium_recall"), 2),
    _Column("Few", lambda line: _percent(line, "test_few_recall"), 1),
    _Column("Val", lambda line: _percent(line, "val_balanced_accuracy"), 8),
    _Column("Trials", _trials, 5, "Trials: ended well / all."),
    _Column("Seeds", _seeds, 7),
    _Column(
        "Time",
        lambda line: rough(line["seconds"]),
        6,
        "Time: all runs of the study, without the search of its stage 1.",
    ),
    _Column(
        "Alone",
        lambda line: rough(line["standalone_seconds"]),
        9,
        "Alone: the time had every run trained its own stage 1.",
    ),
)


def render(
    board: Leaderboard, form: str = "table", *, width: int | None = None, color: bool = False
) -> str:
    """Return the leaderboard as text, with a newline at its end.

    Args:
        board: What to show.
        form: `table` (for a terminal), `markdown`, `latex`, `csv` or `json`. The last two carry
            fractions and every column; CSV has no room for the notes.
        width: Columns of the terminal; None asks the terminal, and takes 120 where there is none.
            A narrow one drops the less needed columns and says which.
        color: Whether the terminal table may carry colour codes.

    Raises:
        UserError: no such format.
    """
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)
    if form == "csv":
        return board.frame.to_csv(index=False)
    if form == "json":
        return _json(board)
    if form == "latex":
        lines = _lines(board)
        return latex(board, header(board), _footnotes(board, lines, _COLUMNS))
    if form == "markdown":
        return _markdown(board)
    return _terminal(board, width or shutil.get_terminal_size((120, 24)).columns, color)


def _lines(board: Leaderboard) -> list[Line]:
    return [{str(k): v for k, v in line.items()} for line in board.frame.to_dict("records")]


def _tasks(lines: Sequence[Line]) -> dict[str, list[Line]]:
    return {
        task: [line for line in lines if line["task"] == task]
        for task in dict.fromkeys(line["task"] for line in lines)
    }


def _title(task: str, lines: Sequence[Line]) -> str:
    chance, n_classes = lines[0]["chance"], lines[0]["n_classes"]
    return f"{task} · {n_classes} classes, chance {100 * chance:.1f}"


def header(board: Leaderboard) -> list[str]:
    """Say what the numbers are, over what the spread is, the groups, and how it was selected."""
    if board.frame.empty:
        return [_NOTHING]
    seeds = sorted({int(n) for n in board.frame["n_seeds"] if n > 0}) or [0]
    counts = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    arrow = "higher" if PRIMARY.higher_is_better else "lower"
    watermark = [board.rule.watermark] if board.rule.watermark else []
    equal = [] if board.budget is None else [f"At equal cost: {board.budget.description}."]
    return [
        *watermark,
        f"Test balanced accuracy in %, {arrow} is better; mean ± SD over the retraining seeds of "
        f"one configuration (n = {counts}), not over searches, splits or data sets.",
        f"Tuned: selected by {board.rule.name} ({board.rule.description}).",
        *equal,
        "Many, med., few: mean test recall in % of the classes of each third by training images.",
    ]


def _footnotes(board: Leaderboard, lines: Sequence[Line], shown: Sequence[_Column]) -> list[str]:
    meanings = " ".join(column.meaning for column in shown if column.meaning) if lines else ""
    fewer = any(line["fewer_trials"] for line in lines)
    left_out = [column.header.replace("\n", " ") for column in _COLUMNS if column not in shown]
    return [
        *([meanings] if meanings else []),
        *([FEWER] if fewer else []),
        *([f"Too narrow for: {', '.join(left_out)}; see --format csv."] if left_out else []),
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
    fits = {gap: _fitting(lines, width, gap) for gap in _GAPS}
    gap = max(_GAPS, key=lambda gap: len(fits[gap]))
    shown = fits[gap] if lines else _COLUMNS
    with console.capture() as capture:
        for text in header(board):
            console.print(text, highlight=False)
        for task, members in _tasks(lines).items():
            console.print()
            console.print(_title(task, members), style="bold", highlight=False)
            console.print(_table(members, shown, gap, width), highlight=False, soft_wrap=True)
        for text in _footnotes(board, lines, shown):
            console.print(text, highlight=False)
    return capture.get()


def _fitting(lines: Sequence[Line], width: int, gap: int) -> list[_Column]:
    """Return the columns that fit: taken by priority, shown in their usual order."""
    chosen: list[_Column] = []
    room = width + gap
    for column in sorted(_COLUMNS, key=lambda column: column.priority):
        texts = [*column.header.split("\n"), *(column.cell(line) for line in lines)]
        widest = max(len(text) for text in texts)
        needed = gap + (min(widest, _METHOD_WIDTH) if column is _COLUMNS[0] else widest)
        if needed > room and column.priority > 0:
            break
        chosen.append(column)
        room -= needed
    return [column for column in _COLUMNS if column in chosen]


def _table(lines: Sequence[Line], columns: Sequence[_Column], gap: int, width: int) -> Text:
    rows = [[column.cell(line) for column in columns] for line in lines]
    return table_text([column.header for column in columns], rows, gap, _METHOD_WIDTH, width)


def _markdown(board: Leaderboard) -> str:
    lines = _lines(board)
    text = [*header(board), ""]
    for task, members in _tasks(lines).items():
        text += [f"### {_title(task, members)}", ""]
        text.append(_markdown_row([column.header.replace("\n", " ") for column in _COLUMNS]))
        text.append(_markdown_row(["---", *("---:" for _ in _COLUMNS[1:])]))
        text += [_markdown_row([column.cell(line) for column in _COLUMNS]) for line in members]
        text.append("")
    notes = [note.replace("*", "\\*") for note in _footnotes(board, lines, _COLUMNS)]
    return "\n".join([*text, *(f"- {note}" for note in notes)]).rstrip() + "\n"


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("*", "\\*") for cell in cells) + " |"


def _json(board: Leaderboard) -> str:
    data = {
        "metric": f"test_{PRIMARY.name}",
        "higher_is_better": PRIMARY.higher_is_better,
        "spread": "sample standard deviation over the retraining seeds of one configuration",
        "selection": {"name": board.rule.name, "description": board.rule.description},
        "watermark": board.rule.watermark or None,
        "budget": None if board.budget is None else board.budget.description,
        "groups": "third",
        "rows": [{k: _json_value(v) for k, v in line.items()} for line in _lines(board)],
        "notes": list(board.notes),
    }
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _json_value(value: Any) -> Any:
    return None if isinstance(value, float) and isnan(value) else value
