"""Numbers as cells: what is undefined is a dash that says it is missing, and sorts last."""

from math import isnan
from typing import Literal

from lmd_bench.core.text import rough
from lmd_bench.report.blocks import Cell
from lmd_bench.report.drawing.scale import Number

Mark = Literal["", "best", "second", "missing", "chosen"]


def percent(value: Number | None, sd: float = float("nan"), mark: Mark = "") -> Cell:
    """Return a fraction in percent with one decimal, with its standard deviation if known."""
    if value is None or isnan(value):
        return missing()
    spread = "" if isnan(sd) else f" ± {100 * sd:.1f}"
    return Cell(f"{100 * value:.1f}{spread}", float(value), mark)


def shaded(value: Number | None) -> Cell:
    """Return a fraction in percent, without decimals, on the step of the heat scale it falls on."""
    if value is None or isnan(value):
        return missing()
    return Cell(f"{100 * value:.0f}", float(value), shade=round(10 * min(max(value, 0.0), 1.0)))


def count(value: Number | None) -> Cell:
    """Return a whole number."""
    if value is None or isnan(value):
        return missing()
    return Cell(f"{value:,.0f}".replace(",", "\u202f"), float(value))


def duration(seconds: Number) -> Cell:
    """Return a duration in words, which sorts by its seconds."""
    return Cell(rough(seconds), float(seconds))


def words(text: str, note: str = "") -> Cell:
    """Return a text, which sorts by itself."""
    return Cell(text, text.lower(), note=note)


def key(text: str) -> Cell:
    """Return a key, hash or file name."""
    return Cell(text, text, code="key")


def command(text: str) -> Cell:
    """Return a command line."""
    return Cell(text, text, code="command")


def missing(text: str = "–") -> Cell:
    """Return the cell of a value that is not known."""
    return Cell(text, None, "missing")
