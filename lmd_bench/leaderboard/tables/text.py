"""A plain table of texts that fits its terminal, and how its numbers are written.

What is undefined is a dash. A table that is too wide is cut into parts below each other, each of
which repeats the first columns; no cell and no name is ever cut.
"""

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, isnan
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from lmd_bench.stats.intervals import Interval


@dataclass(frozen=True)
class Table:
    """The cells of a table, laid out when the width of the terminal is known."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    n_keys: int = 1  # first columns, which name a row


Part = str | Table  # a line of prose, or a table


def lay_out(parts: Sequence[Part], width: int) -> list[str]:
    """Return the lines of a text, none longer than the width where its words allow it."""
    lines: list[str] = []
    for part in parts:
        if isinstance(part, Table):
            lines += text_table(part.header, part.rows, width=width, n_keys=part.n_keys)
        else:
            wrapped = textwrap.wrap(part, width, break_long_words=False, break_on_hyphens=False)
            lines += [part] if cell_len(part) <= width else wrapped
    return lines


def text_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    width: int | None = None,
    gap: int = 2,
    n_keys: int = 1,
    first_width: int | None = None,
) -> list[str]:
    """Return the lines of a table, a rule under its header; the first column is to the left.

    Args:
        header: One for each column; a line break makes the header several lines high, and headers
            that are lower stand at its foot.
        rows: The cells of each line.
        width: Of the terminal; None: any. A table that is wider comes in parts.
        gap: Blanks between columns, where the table fits with them; else 1.
        n_keys: First columns, which each part repeats.
        first_width: What is longer in the first column is folded to several lines.
    """
    height = max(text.count("\n") for text in header) + 1
    stacks = [[""] * (height - 1 - text.count("\n")) + text.split("\n") for text in header]
    head = [[stack[level] for stack in stacks] for level in range(height)]
    widths = [max(map(cell_len, column)) for column in zip(*head, *rows, strict=True)]
    widths[0] = min(widths[0], first_width or widths[0])
    if width is None or _total(widths, gap) <= width:
        return _part(head, rows, widths, gap)
    if _total(widths, 1) <= width:
        return _part(head, rows, widths, 1)
    # names are folded only where they leave no room for the widest of the other columns
    keys = list(range(n_keys))
    room = width - _total([*(widths[key] for key in keys[1:]), max(widths[n_keys:] or [0])], 1) - 1
    widths[0] = max(1, min(widths[0], room))
    lines: list[str] = []
    for columns in _parts(widths, n_keys, width):
        chosen = [[row[column] for column in columns] for row in (*head, *rows)]
        lines += [""] if lines else []
        own = [widths[column] for column in columns]
        lines += _part(
            chosen[:height], chosen[height:], own, gap if _total(own, gap) <= width else 1
        )
    return lines


def _total(widths: Sequence[int], gap: int) -> int:
    return sum(widths) + gap * (len(widths) - 1)


def _parts(widths: Sequence[int], n_keys: int, width: int) -> list[list[int]]:
    """Return the columns of each part of a table that is too wide: its keys, and what fits."""
    keys = list(range(n_keys))
    parts = [list(keys)]
    for column in range(n_keys, len(widths)):
        wider = [*parts[-1], column]
        if len(parts[-1]) > n_keys and _total([widths[i] for i in wider], 1) > width:
            parts.append([*keys, column])
        else:
            parts[-1] = wider
    return parts


def _part(
    head: Sequence[Sequence[str]],
    rows: Sequence[Sequence[str]],
    widths: Sequence[int],
    gap: int,
) -> list[str]:
    console = Console(width=widths[0])
    top = [_line(cells, widths, gap) for row in head for cells in _folded(row, console)]
    body = [_line(cells, widths, gap) for row in rows for cells in _folded(row, console)]
    return [*top, "─" * _total(widths, gap), *body]


def _line(cells: Sequence[str], widths: Sequence[int], gap: int) -> str:
    blanks = [" " * (width - cell_len(cell)) for cell, width in zip(cells, widths, strict=True)]
    others = [blank + cell for blank, cell in zip(blanks[1:], cells[1:], strict=True)]
    return (" " * gap).join([cells[0] + blanks[0], *others]).rstrip()


def _folded(row: Sequence[str], console: Console) -> list[Sequence[str]]:
    """Return the lines of a row: more than one where its first cell is too long."""
    if cell_len(row[0]) <= console.width:
        return [row]
    first, *more = _folded_name(row[0], console)
    blank = [""] * (len(row) - 1)
    return [[first, *row[1:]], *([part, *blank] for part in more)]


def _folded_name(name: str, console: Console) -> list[str]:
    """Return the lines of a name: broken between its stages or words, else where it must be."""
    lines = [""]
    for piece in re.split(r"(?<=[+\s])", name):
        longer = lines[-1] + piece
        if cell_len(longer.rstrip()) <= console.width:
            lines[-1] = longer
            continue
        whole, *more = Text(piece).wrap(console, console.width, overflow="fold")
        lines += [whole.plain, *(part.plain for part in more)]
    return [line.rstrip() for line in lines if line]


def percent(value: float, sign: str = "") -> str:
    """Return a fraction in percent; `sign="+"` for a difference."""
    return shown(value, sign)


def shown(value: float, sign: str = "", *, in_percent: bool = True) -> str:
    """Return a fraction in percent with one decimal, or a number as it is with three."""
    if isnan(value):
        return "–"
    # + 0.0 turns -0.0 into 0.0
    if in_percent:
        return f"{round(100 * value, 1) + 0.0:{sign}.1f}"
    return f"{round(value, 3) + 0.0:{sign}.3f}"


def bounds(interval: Interval, sign: str = "", *, in_percent: bool = True) -> str:
    """Return an interval of fractions in percent, or of numbers as they are."""
    if isnan(interval.low):
        return "–"
    low, high = (shown(end, sign, in_percent=in_percent) for end in (interval.low, interval.high))
    return f"[{low}, {high}]"


def with_bounds(
    value: float, interval: Interval, sign: str = "", *, in_percent: bool = True
) -> str:
    """Return a value and its interval; a dash alone where there is no value."""
    if isnan(value):
        return "–"
    number = shown(value, sign, in_percent=in_percent)
    return f"{number} {bounds(interval, sign, in_percent=in_percent)}"


def p_value(p: float) -> str:
    """Return a p-value with three decimals; below that, `<.001`."""
    if isnan(p):
        return "–"
    return "<.001" if p < 0.001 else f"{p:.3f}"


def markdown_row(cells: Sequence[str], bold: Sequence[bool] = ()) -> str:
    """Return one row of a Markdown table; `bold` says of each cell whether it is."""
    texts = [cell.replace("|", "\\|").replace("*", "\\*") for cell in cells]
    for place, is_bold in enumerate(bold):
        texts[place] = f"**{texts[place]}**" if is_bold else texts[place]
    return "| " + " | ".join(texts) + " |"


def json_value(value: Any) -> Any:
    """Return a value as JSON can hold it: NaN and what is infinite are null."""
    return None if isinstance(value, float) and not isfinite(value) else value
