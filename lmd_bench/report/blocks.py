"""What a section of the report is made of. Sections say what is shown; `templates/` says how.

All texts are plain: the template escapes them. Only a `Picture` carries markup, made by `drawing/`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from typing import ClassVar, Literal

from markupsafe import Markup

from lmd_bench.core.text import rough
from lmd_bench.report.drawing.canvas import Number

Mark = Literal["", "best", "missing", "chosen"]


@dataclass(frozen=True)
class Cell:
    """One cell of a table."""

    text: str
    value: float | str | None = None  # sorts the column; None sorts last
    mark: Mark = ""
    shade: int | None = None  # step 0 to 10 of the heat scale; None: no heat
    code: Literal["", "key", "command"] = ""  # a key is never broken
    note: str = ""  # small, below the text
    link: str = ""  # a file beside the page


@dataclass(frozen=True)
class Head:
    """The head of a column."""

    text: str
    note: str = ""  # small, below the text


@dataclass(frozen=True)
class TableRow:
    """A row, whose first cell is its head."""

    cells: tuple[Cell, ...]
    method: str = ""  # the filter hides it by this


@dataclass(frozen=True)
class Table:
    """A table; its caption says what the numbers are."""

    caption: str
    heads: tuple[Head, ...]
    rows: tuple[TableRow, ...]
    sortable: bool = False
    look: Literal["plain", "heat"] = "plain"
    task: str = ""  # the filter hides it by this
    method: str = ""

    @property
    def numeric(self) -> list[bool]:
        """Return whether each column holds numbers, which stand to the right."""
        columns = zip(*(row.cells for row in self.rows), strict=True)
        kinds = [{type(cell.value) for cell in column} for column in columns]
        return [float in kind and str not in kind for kind in kinds] or [False] * len(self.heads)


@dataclass(frozen=True)
class Picture:
    """One drawing, with its caption."""

    svg: Markup
    caption: str
    task: str = ""
    method: str = ""


@dataclass(frozen=True)
class Key:
    """An entry of a legend: how one method is drawn."""

    label: str
    style: int


@dataclass(frozen=True)
class Figure:
    """Drawings or heat tables that belong together, their numbers, and what makes them again."""

    kind: ClassVar = "figure"
    title: str
    caption: str  # what is drawn, and over what bands and bars are
    command: str  # redraws or prints it
    pictures: tuple[Picture, ...] = ()
    maps: tuple[Table, ...] = ()  # heat tables, which hold their numbers themselves
    legend: tuple[Key, ...] = ()
    numbers: tuple[Table, ...] = ()  # the same data as tables, folded away
    task: str = ""
    size: Literal["small", "medium", "half"] = "medium"  # of its parts; half: of the page, alone


@dataclass(frozen=True)
class Text:
    """Paragraphs; as a list where they are notes."""

    kind: ClassVar = "text"
    lines: tuple[str, ...]
    look: Literal["plain", "notes", "missing"] = "plain"


@dataclass(frozen=True)
class Heading:
    """A heading within a section, such as the name of a task."""

    kind: ClassVar = "heading"
    text: str
    note: str = ""
    task: str = ""


@dataclass(frozen=True)
class Listing:
    """A table on its own, with the command that prints it."""

    kind: ClassVar = "listing"
    table: Table
    command: str = ""


Block = Text | Heading | Listing | Figure


@dataclass(frozen=True)
class Section:
    """One part of the report, as a module of `sections/` returns it."""

    title: str
    blocks: tuple[Block, ...]
    name: str = ""  # of its module, set by the page


def row(*cells: Cell, method: str = "") -> TableRow:
    """Return a row of cells."""
    return TableRow(cells, method)


def heads(*texts: str) -> tuple[Head, ...]:
    """Return heads of columns."""
    return tuple(Head(text) for text in texts)


def notes(lines: Sequence[str]) -> tuple[Block, ...]:
    """Return notes as blocks; none for none."""
    return (Text(tuple(lines), "notes"),) if lines else ()


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
