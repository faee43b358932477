"""Reading the CSV of a split, with an error that names the file and what was expected."""

import csv
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lmd_bench.core.errors import UserError

Row = dict[str, str]


def read_table(file: Path, columns: Collection[str] = (), delimiter: str = ",") -> list[Row]:
    """Return the rows of a CSV as text.

    Args:
        file: a UTF-8 file with a header.
        columns: those that it must have.
        delimiter: between the values of a line.

    Raises:
        UserError: the file cannot be read, lacks a column, lists nothing or has a ragged line.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            lines = list(csv.reader(stream, delimiter=delimiter))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"The split file {file} cannot be read ({error}); put the published file in its place."
        ) from error
    header = lines[0] if lines else []
    absent = [column for column in columns if column not in header]
    if absent:
        raise UserError(
            f"The split file {file} lacks the column {', '.join(absent)} and has "
            f"{', '.join(header) or 'nothing'}; put the published file in its place."
        )
    if not any(lines[1:]):
        raise UserError(f"The split file {file} lists no image; put the published one there.")
    for number, line in enumerate(lines[1:], start=2):
        if line and len(line) != len(header):
            raise UserError(
                f"{file}, line {number}: {len(line)} values where the header has {len(header)}; "
                "put the published file in its place."
            )
    values = [[value.strip() for value in line] for line in lines[1:] if line]
    return [dict(zip(header, line, strict=True)) for line in values]


SplitName = Literal["train", "val", "test"]


@dataclass(frozen=True)
class Listed:
    """One image as a split file names it."""

    name: str  # an id, a file name or a path
    split: SplitName
    label: str | None = None  # the class in the file's own words or numbers; None: not stated


@dataclass(frozen=True)
class Published:
    """A split as it was published, before it is matched with the images that are present."""

    path: Path  # what was read, for messages
    images: tuple[Listed, ...]
    seeded: bool = False  # the split seed chose among what was published, such as folds
