"""A person's own CSV: which images it lists, and of what class, group and split each is."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np

from lmd_bench.core.errors import UserError
from lmd_bench.core.options import split_commas
from lmd_bench.core.schema import TableColumns
from lmd_bench.data.csv_rows import Row, read_rows
from lmd_bench.data.datasets._csv import one_hot
from lmd_bench.data.file_names import SPLITS, check_printable, plain, without_ending
from lmd_bench.data.table import ImageTable, own_group


def read_listed(file: Path, columns: TableColumns) -> ImageTable:
    """Return the images that a CSV lists, in its order.

    Raises:
        UserError: a column, class or name that is absent or not allowed, or an image listed twice.
    """
    optional = (columns.group_column, columns.split_column)
    # `A,B,C` are columns of 0 and 1; a column may be called so all the same.
    classes = split_commas([columns.label_column])
    asked = [columns.image_column, *filter(None, optional)]
    rows = _rows(file, [*asked, *(classes if len(classes) == 1 else [])])
    is_one_hot = len(classes) > 1 and columns.label_column not in rows[0]
    if is_one_hot:
        rows = _rows(file, [*asked, *classes])
    ids = [_checked_id(file, row.line, row[columns.image_column]) for row in rows]
    refuse_twice(file, ids, [f"line {row.line}" for row in rows])
    words = frozenset(word.lower() for word in columns.missing_values)
    labels = [
        classes[one_hot(file, row, classes, columns.image_column)]
        if is_one_hot
        else _filled(file, row, columns.label_column, words)
        for row in rows
    ]
    groups = [row[columns.group_column] if columns.group_column else "" for row in rows]
    groups = ["" if group.lower() in words else group for group in groups]
    splits = None
    if columns.split_column is not None:
        splits = [split_name(row[columns.split_column], f"{file}, line {row.line}") for row in rows]
    return replace(table_of(ids, labels, groups, splits), own_splits=splits is not None)


def _rows(file: Path, columns: Sequence[str]) -> list[Row]:
    return read_rows(
        file,
        columns,
        how_to_get="--images-csv names the CSV that lists the images.",
        mend="mend the file, or name its columns as they are",
    )


def table_of(
    ids: Sequence[str], names: Sequence[str], groups: Sequence[str], splits: list[str] | None
) -> ImageTable:
    """Return the table of images whose classes are given by name, and are sorted by it.

    Raises:
        UserError: a name that a terminal would obey.
    """
    for kind, values in (("image", ids), ("class", names), ("group", groups)):
        check_printable(kind, values)
    class_names = tuple(sorted(set(names)))
    label_of = {name: label for label, name in enumerate(class_names)}
    return ImageTable(
        image_ids=tuple(ids),
        labels=np.array([label_of[name] for name in names], dtype=np.int64),
        groups=tuple(g or own_group(i) for g, i in zip(groups, ids, strict=True)),
        class_names=class_names,
        splits=None if splits is None else tuple(splits),
    )


def notes_on_names(class_names: Sequence[str]) -> list[str]:
    """Return which classes may be one that is written in several ways."""
    alike: dict[str, list[str]] = {}
    for name in class_names:
        alike.setdefault(" ".join(plain(name).casefold().split()), []).append(name)
    return [
        f"{', '.join(map(repr, names))} are {len(names)} classes, whose names differ by case, "
        "blanks or the way an accent is stored; write them alike if they are one"
        for names in alike.values()
        if len(names) > 1
    ]


def split_name(value: str, place: str) -> str:
    """Return train, val or test for what a person calls it; "" for nothing, which is no split.

    Raises:
        UserError: another name.
    """
    if not value:
        return ""
    if value.lower() in SPLITS:
        return SPLITS[value.lower()]
    raise UserError(
        f"{place}: unknown split {value!r}; allowed are {', '.join(SPLITS)}, or nothing for an "
        "image that is in none."
    )


def refuse_twice(source: Path, ids: Sequence[str], places: Sequence[str]) -> None:
    """Refuse images that are listed twice.

    Raises:
        UserError: naming the first such image and both places.
    """
    first: dict[str, str] = {}
    for image_id, place in zip(ids, places, strict=True):
        if image_id in first:
            raise UserError(
                f"{source}, {place}: image {image_id} was there before, {first[image_id]} (its "
                "ending does not count); every image must be listed once."
            )
        first[image_id] = place


def _checked_id(file: Path, line: int, value: str) -> str:
    path = PurePosixPath(value)
    foreign = "\\" in value or "\0" in value or PureWindowsPath(value).drive
    if not value or path.is_absolute() or ".." in path.parts or foreign:
        raise UserError(
            f"{file}, line {line}: the image {value!r} is not allowed; give a file name or a "
            "path below the data folder, with '/' and without '..'."
        )
    return without_ending(value)


def _filled(file: Path, row: Row, column: str, missing_words: frozenset[str]) -> str:
    label = row[column]
    if not label:
        raise UserError(
            f"{file}, line {row.line}: column {column} is empty; every image needs a class, so "
            "fill it in or remove the row."
        )
    if label.lower() in missing_words:
        raise UserError(
            f"{file}, line {row.line}: column {column} holds '{label}', which stands for a missing "
            "value; fill it in or remove the row, or, if it is a class, give --missing-values "
            "without it."
        )
    return label
