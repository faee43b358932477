"""Reading the CSV of a data set or of a split, with an error that names the file and the line."""

import csv
from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from io import StringIO
from pathlib import Path

from lmd_bench.core.errors import UserError

PUBLISHED = "put the published file in its place"
_DELIMITERS = ",;\t"


class Row(dict[str, str]):
    """The values of a row by column."""

    line: int = 0  # on which the row begins, as an editor counts it


def read_rows(
    file: Path,
    columns: Sequence[str] = (),
    *,
    how_to_get: str = "Put the published file there.",
    mend: str = PUBLISHED,
    delimiter: str | None = None,
    strip: bool = True,
) -> list[Row]:
    """Return the rows of a CSV as text. Empty rows, also those of empty cells, are left out.

    Args:
        file: UTF-8 with a header.
        columns: those that it must have.
        how_to_get: a sentence for the person who does not have the file.
        mend: what to do with a file that cannot be used, as the end of a sentence.
        delimiter: between the values of a line; None: comma, semicolon or tab, whichever gives the
            columns, and else whichever the header holds most of.
        strip: take blanks off the ends of values.

    Raises:
        UserError: the file is absent, a folder, not UTF-8, lacks one of `columns` or has it twice,
            holds no row, or has a row that is longer or shorter than its header.
    """
    if not file.is_file():
        wrong = "is a folder, not a CSV file" if file.is_dir() else "does not exist"
        raise UserError(f"{file} {wrong}. {how_to_get}")
    try:
        text = file.read_bytes().decode("utf-8-sig")
        separator = delimiter or _delimiter(text, columns)
        # Where a row begins, which is not its number where a line is blank or a value has several.
        reader = csv.reader(StringIO(text, newline=""), delimiter=separator)
        lines: list[tuple[int, list[str]]] = []
        begins = 1
        for values in reader:
            lines.append((begins, [value.strip() for value in values] if strip else values))
            begins = reader.line_num + 1
    except UnicodeDecodeError as error:
        raise UserError(
            f"{file} is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8"
            f"{f', or {mend}' if mend == PUBLISHED else ''}."
        ) from error
    except (OSError, csv.Error) as error:
        raise UserError(f"{file} cannot be read ({error}); {mend}.") from error
    filled = [(line, values) for line, values in lines if any(values)]
    header = filled[0][1] if filled else []
    _check_header(file, header, columns, separator, mend)
    if len(filled) < 2:
        raise UserError(f"{file} lists no image; {mend}.")
    rows: list[Row] = []
    for line, values in filled[1:]:
        # An empty value more is what a comma at the end of a line makes.
        if len(values) != len(header) and any(values[len(header) :]) or len(values) < len(header):
            raise UserError(
                f"{file}, line {line}: {len(values)} values where the header has {len(header)}; "
                f"{mend}."
            )
        row = Row(zip(header, values, strict=False))
        row.line = line
        rows.append(row)
    return rows


def _delimiter(text: str, columns: Sequence[str]) -> str:
    header = next((line for line in text.splitlines() if line.strip()), "")
    by_use = sorted(_DELIMITERS, key=header.count, reverse=True)
    for delimiter in _DELIMITERS:
        values = next(csv.reader([header], delimiter=delimiter), [])
        if columns and set(columns) <= {value.strip() for value in values}:
            return delimiter
    return by_use[0] if header.count(by_use[0]) else ","


def _check_header(
    file: Path, header: Sequence[str], columns: Sequence[str], delimiter: str, mend: str
) -> None:
    absent = [column for column in columns if column not in header]
    if absent:
        lower = {name.lower(): name for name in header}
        near = get_close_matches(absent[0].lower(), lower, n=1)
        hint = f" Did you mean '{lower[near[0]]}'?" if near else ""
        name = {",": "", ";": " between semicolons", "\t": " between tabs"}.get(delimiter, "")
        raise UserError(
            f"{file} lacks the column {', '.join(absent)}; it needs {', '.join(columns)} and has "
            f"{', '.join(header) or 'nothing'}{name}: {mend}.{hint}"
        )
    counts = Counter(header)
    twice = [column for column in columns if counts[column] > 1]
    if twice:
        raise UserError(f"{file} has the column {twice[0]} {counts[twice[0]]} times; {mend}.")
