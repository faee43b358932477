"""A plain table of texts, and how its numbers are written; what is undefined is a dash."""

from collections.abc import Sequence
from math import isnan
from typing import Any

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
