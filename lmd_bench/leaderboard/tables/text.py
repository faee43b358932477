"""A plain table of texts, and how its numbers are written; what is undefined is a dash."""

from collections.abc import Sequence
from math import isnan
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from lmd_bench.stats.intervals import Interval


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]], gap: int = 2) -> list[str]:
    """Return the lines of a table, a rule under its header; the first column is to the left."""
    table = [list(header), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    lines = [
        (" " * gap)
        .join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        .rstrip()
        for row in table
    ]
    return [lines[0], "─" * (sum(widths) + gap * (len(widths) - 1)), *lines[1:]]


def percent(value: float, sign: str = "") -> str:
    """Return a fraction in percent; `sign="+"` for a difference."""
    if isnan(value):
        return "–"
    return f"{round(100 * value, 1) + 0.0:{sign}.1f}"  # + 0.0 turns -0.0 into 0.0


def bounds(interval: Interval, sign: str = "") -> str:
    """Return an interval of fractions in percent."""
    if isnan(interval.low):
        return "–"
    return f"[{percent(interval.low, sign)}, {percent(interval.high, sign)}]"


def p_value(p: float) -> str:
    """Return a p-value with three decimals; below that, `<.001`."""
    if isnan(p):
        return "–"
    return "<.001" if p < 0.001 else f"{p:.3f}"


def json_value(value: Any) -> Any:
    """Return a value as JSON can hold it: NaN is null."""
    return None if isinstance(value, float) and isnan(value) else value


def table_text(
    headers: Sequence[str], rows: Sequence[Sequence[str]], gap: int, first_width: int, width: int
) -> Text:
    """Return a table: a bold header over a rule, the first column left-justified, the others right.

    Args:
        headers: One for each column; a line break makes the header several lines high, and headers
            that are lower stand at its foot.
        rows: The cells of each line.
        gap: Blanks between columns.
        first_width: What is longer in the first column is folded to several lines.
        width: Of the terminal; in a narrow one the first column is folded earlier.
    """
    height = max(header.count("\n") for header in headers) + 1
    stacks = [[""] * (height - 1 - header.count("\n")) + header.split("\n") for header in headers]
    head = [tuple(stack[level] for stack in stacks) for level in range(height)]
    widths = [max(map(cell_len, column)) for column in zip(*head, *rows, strict=True)]
    room = width - sum(widths[1:]) - gap * (len(widths) - 1)
    widths[0] = max(1, min(widths[0], first_width, room))
    console = Console(width=widths[0])
    rule = "─" * (sum(widths) + gap * (len(widths) - 1))
    top = [_line(cells, widths, gap) for row in head for cells in _folded(row, console)]
    body = [_line(cells, widths, gap) for row in rows for cells in _folded(row, console)]
    return Text.assemble(Text("\n".join(top), style="bold"), "\n" + "\n".join([rule, *body]))


def _line(cells: Sequence[str], widths: Sequence[int], gap: int) -> str:
    blanks = [" " * (width - cell_len(cell)) for cell, width in zip(cells, widths, strict=True)]
    others = [blank + cell for blank, cell in zip(blanks[1:], cells[1:], strict=True)]
    return (" " * gap).join([cells[0] + blanks[0], *others])


def _folded(row: Sequence[str], console: Console) -> list[Sequence[str]]:
    """Return the lines of a row: more than one where its first cell is too long."""
    if cell_len(row[0]) <= console.width:
        return [row]
    first, *more = Text(row[0]).wrap(console, console.width, overflow="fold")
    blank = [""] * (len(row) - 1)
    return [[first.plain.rstrip(), *row[1:]], *([part.plain.rstrip(), *blank] for part in more)]
