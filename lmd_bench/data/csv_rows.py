"""Reading the CSV of a data set or of a split, with an error that names the file and the line."""

import csv
from collections.abc import Sequence
from pathlib import Path

from lmd_bench.core.errors import UserError

Row = dict[str, str]
FIRST_LINE = 2  # of the first row: line 1 is the header

_MEND = "put the published file in its place"


def read_rows(
    file: Path,
    columns: Sequence[str] = (),
    *,
    how_to_get: str = "Put the published file there.",
    delimiter: str = ",",
) -> list[Row]:
    """Return the rows of a CSV as text; row i stands on line i + FIRST_LINE.

    Args:
        file: UTF-8 with a header.
        columns: those that it must have.
        how_to_get: a sentence for the person who does not have the file.
        delimiter: between the values of a line.

    Raises:
        UserError: the file is absent, not UTF-8, lacks one of `columns`, holds no row, or has a
            row that is longer or shorter than its header.
    """
    if not file.is_file():
        raise UserError(f"{file} does not exist. {how_to_get}")
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            lines = list(csv.reader(stream, delimiter=delimiter))
    except UnicodeDecodeError as error:
        raise UserError(
            f"{file} is not UTF-8 text ({error.reason} at byte {error.start}); {_MEND}, or save "
            "it as UTF-8."
        ) from error
    except (OSError, csv.Error) as error:
        raise UserError(f"{file} cannot be read ({error}); {_MEND}.") from error
    header = lines[0] if lines else []
    absent = [column for column in columns if column not in header]
    if absent:
        raise UserError(
            f"{file} lacks the column {', '.join(absent)}; it needs {', '.join(columns)} and has "
            f"{', '.join(header) or 'nothing'}: {_MEND}."
        )
    if not any(lines[1:]):
        raise UserError(f"{file} lists no image; {_MEND}.")
    rows: list[Row] = []
    for number, line in enumerate(lines[1:], start=FIRST_LINE):
        # An empty line, often the last, is no row.
        if not line:
            continue
        if len(line) != len(header):
            raise UserError(
                f"{file}, line {number}: {len(line)} values where the header has {len(header)}; "
                f"{_MEND}."
            )
        rows.append(dict(zip(header, (value.strip() for value in line), strict=True)))
    return rows
