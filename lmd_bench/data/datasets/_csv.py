"""Checks of a data set's CSVs, with an error that names the file, the line and what is allowed."""

from collections.abc import Sequence
from pathlib import Path

from lmd_bench.core.errors import UserError
from lmd_bench.data.csv_rows import Row


def check_ids(file: Path, rows: Sequence[Row], column: str) -> list[str]:
    """Return the ids in a column; those that occur twice or are no plain file names are refused.

    Raises:
        UserError: naming the first such id and its line.
    """
    seen: dict[str, int] = {}
    for row in rows:
        number, image_id = row.line, row[column]
        if not image_id or image_id.startswith(".") or not set(image_id).isdisjoint("/\\:\0"):
            raise UserError(
                f"{file}, line {number}: the image id {image_id!r} is not allowed; an id is a "
                "plain file name without folder or suffix."
            )
        if image_id in seen:
            raise UserError(
                f"{file}, line {number}: image {image_id} was listed before, on line "
                f"{seen[image_id]}; every image must be listed once."
            )
        seen[image_id] = number
    return list(seen)


def label_of(file: Path, row: Row, column: str, class_names: Sequence[str]) -> int:
    """Return the index of the class that a row names.

    Raises:
        UserError: it is none of the classes.
    """
    name = row[column]
    if name in class_names:
        return class_names.index(name)
    raise UserError(
        f"{file}, line {row.line}: unknown label {name!r}; allowed are {', '.join(class_names)}."
    )


def one_hot(file: Path, row: Row, class_names: Sequence[str], image_column: str = "image") -> int:
    """Return the class whose column holds the one 1 of a row of zeros.

    Raises:
        UserError: none or several ones, or another value.
    """
    values = [row[name] for name in class_names]
    ones = [label for label, value in enumerate(values) if value in ("1", "1.0")]
    zeros = sum(value in ("0", "0.0") for value in values)
    if len(ones) == 1 and zeros == len(values) - 1:
        return ones[0]
    raise UserError(
        f"{file}, line {row.line}: image {row[image_column]} has {', '.join(values)} for "
        f"{', '.join(class_names)}; exactly one class must be 1 and the others 0."
    )
