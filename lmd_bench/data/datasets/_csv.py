"""Reading a data set's CSVs, with an error that names the file, the line and what was expected."""

import csv
from collections.abc import Collection, Sequence
from pathlib import Path

from lmd_bench.core.errors import UserError

Row = dict[str, str]
FIRST_LINE = 2  # of the first row: line 1 is the header


def read_rows(file: Path, columns: Sequence[str], how_to_get: str) -> list[Row]:
    """Return the rows of a CSV as text; row i stands on line i + FIRST_LINE.

    Raises:
        UserError: the file is absent, not UTF-8, lacks one of `columns`, holds no row, or has a
            row that is longer or shorter than its header.
    """
    if not file.is_file():
        raise UserError(f"{file} does not exist. {how_to_get}")
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            lines = list(csv.reader(stream))
    except UnicodeDecodeError as error:
        raise UserError(
            f"{file} is not UTF-8 text ({error.reason} at byte {error.start}); "
            "download it again, or save it as UTF-8."
        ) from error
    except csv.Error as error:
        raise UserError(f"{file} is not a CSV file ({error}); download it again.") from error
    header = lines[0] if lines else []
    absent = [column for column in columns if column not in header]
    if absent:
        raise UserError(
            f"{file} lacks the column {', '.join(absent)}; it needs {', '.join(columns)} and has "
            f"{', '.join(header) or 'nothing'}: put the published file in its place."
        )
    rows = [line for line in lines[1:] if line]
    if not rows:
        raise UserError(f"{file} lists no image; put the published file in its place.")
    for number, line in enumerate(rows, start=FIRST_LINE):
        if len(line) != len(header):
            raise UserError(
                f"{file}, line {number}: {len(line)} values where the header has {len(header)}; "
                "download the file again."
            )
    return [dict(zip(header, (value.strip() for value in line), strict=True)) for line in rows]


def check_ids(file: Path, image_ids: Sequence[str]) -> None:
    """Refuse ids that occur twice or are not plain file names.

    Raises:
        UserError: naming the first such id and its line.
    """
    seen: dict[str, int] = {}
    for number, image_id in enumerate(image_ids, start=FIRST_LINE):
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


def label_of(file: Path, number: int, name: str, class_names: Sequence[str]) -> int:
    """Return the index of a class name found on line `number`.

    Raises:
        UserError: it is none of the classes.
    """
    if name in class_names:
        return class_names.index(name)
    raise UserError(
        f"{file}, line {number}: unknown label {name!r}; allowed are {_listed(class_names)}."
    )


def one_hot(file: Path, number: int, row: Row, class_names: Sequence[str]) -> int:
    """Return the class whose column holds the one 1 of a row of zeros; `image` holds the id.

    Raises:
        UserError: none or several ones, or another value.
    """
    values = [row[name] for name in class_names]
    ones = [label for label, value in enumerate(values) if value in ("1", "1.0")]
    zeros = sum(value in ("0", "0.0") for value in values)
    if len(ones) == 1 and zeros == len(values) - 1:
        return ones[0]
    raise UserError(
        f"{file}, line {number}: image {row['image']} has {', '.join(values)} for "
        f"{', '.join(class_names)}; exactly one class must be 1 and the others 0."
    )


def _listed(names: Collection[str]) -> str:
    return ", ".join(names)
