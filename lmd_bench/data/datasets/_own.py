"""A person's own CSV: which images it lists, and of what class, group and split each is."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

import numpy as np

from lmd_bench.core.errors import UserError
from lmd_bench.core.options import split_commas
from lmd_bench.core.schema import TableColumns
from lmd_bench.data.csv_rows import Row, read_rows
from lmd_bench.data.datasets._csv import one_hot
from lmd_bench.data.file_names import SPLITS, SplitName, check_printable, plain, without_ending
from lmd_bench.data.table import ImageTable, own_group
from lmd_bench.data.tasks.splits.families import Family, families
from lmd_bench.data.tasks.splits.lmd_csv import read_csv
from lmd_bench.data.tasks.splits.monica_lists import read_list


class _Columns(NamedTuple):
    """What a list says of its images, in its order; "" for no group and no split."""

    ids: list[str]
    names: list[str]
    groups: list[str]
    splits: list[str] | None


def listing_files(columns: TableColumns) -> list[Path]:
    """Return the files that list the images: the CSV, or one for each of train, val and test.

    Raises:
        UserError: only a part of what describes a CSV was given, or a folder that does not hold
            the lists of one split.
    """
    path = _listing(columns)
    return list(_family(path).files.values()) if path.is_dir() else [path]


def read_listed(columns: TableColumns) -> ImageTable:
    """Return the images that a CSV, or a list for each split, names, in this order.

    Raises:
        UserError: a column, class or name that is absent or not allowed, or an image listed twice.
    """
    path = _listing(columns)
    listed = _of_lists(path, columns) if path.is_dir() else _of_csv(path, columns)
    table = table_of(listed.ids, listed.names, listed.groups, listed.splits)
    return replace(table, own_splits=listed.splits is not None)


def _listing(columns: TableColumns) -> Path:
    path = None if columns.images_csv is None else columns.images_csv.expanduser().resolve()
    named = columns.image_column and columns.label_column
    # The columns of lists for each split are known by their names.
    known = path is not None and path.is_dir() and columns == TableColumns(columns.images_csv)
    if path is None or not (named or known):
        raise UserError(
            "A folder with a CSV is described by --images-csv, --image-column and --label-column "
            "together (and --group-column, --split-column if it has them); give all three."
        )
    return path


def _family(folder: Path) -> Family:
    found = families(folder)
    if len(found) != 1:
        raise UserError(
            f"--images-csv {folder} is a folder and holds the lists of {len(found)} splits; give "
            "one of train, val and test lists (.csv, .tsv, .txt), or name one CSV."
        )
    return found[0]


def _of_lists(folder: Path, columns: TableColumns) -> _Columns:
    """Return what the lists of train, val and test say, which are the split."""
    family = _family(folder)
    if columns.split_column is not None:
        raise UserError(
            f"--split-column {columns.split_column} is for one CSV, but the lists in {folder} are "
            "the split themselves; leave it out."
        )
    listed = _Columns([], [], [], [])
    assert listed.splits is not None
    for split, file in family.files.items():
        of_file = (
            _of_csv(file, columns) if columns.image_column else _recognised(file, split, columns)
        )
        for column, values in zip(listed[:3], of_file[:3], strict=True):
            column += values
        listed.splits.extend([split] * len(of_file.ids))
    refuse_twice(folder, listed.ids, [f"list of {split}" for split in listed.splits])
    return listed


def _recognised(file: Path, split: SplitName, columns: TableColumns) -> _Columns:
    """Return what a list says whose columns are not named: a path and a label in each line."""
    read = read_csv if file.suffix.lower() in (".csv", ".tsv", ".tab") else read_list
    images = read(file, split)
    words = _words(columns)
    ids = [checked_id(str(file), image.name) for image in images]
    names = [image.label or "" for image in images]
    lacking = [i for i, n in zip(ids, names, strict=True) if not n or n.lower() in words]
    if lacking:
        raise UserError(
            f"{file} gives image {lacking[0]} no class; give every image one, or put the images of "
            "each class into a sub-folder and name the lists with --split-dir."
        )
    return _Columns(ids, names, [""] * len(ids), None)


def _words(columns: TableColumns) -> frozenset[str]:
    return frozenset(word.lower() for word in columns.missing_values)


def _of_csv(file: Path, columns: TableColumns) -> _Columns:
    optional = (columns.group_column, columns.split_column)
    # `A,B,C` are columns of 0 and 1; a column may be called so all the same.
    classes = split_commas([columns.label_column])
    asked = [columns.image_column, *filter(None, optional)]
    rows = _rows(file, [*asked, *(classes if len(classes) == 1 else [])])
    is_one_hot = len(classes) > 1 and columns.label_column not in rows[0]
    if is_one_hot:
        rows = _rows(file, [*asked, *classes])
    ids = [checked_id(f"{file}, line {row.line}", row[columns.image_column]) for row in rows]
    refuse_twice(file, ids, [f"line {row.line}" for row in rows])
    words = _words(columns)
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
    return _Columns(ids, labels, groups, splits)


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


def notes_on_table(table: ImageTable) -> list[str]:
    """Return which group may stand for none, and which classes may be one or several."""
    return [*_note_on_large_group(table), *notes_on_names(table.class_names)]


def _note_on_large_group(table: ImageTable) -> list[str]:
    """Return that a group is far larger than others are, as one of a word like `unknown` is."""
    own = map(own_group, table.image_ids)
    sizes = Counter(g for g, alone in zip(table.groups, own, strict=True) if g != alone)
    if not sizes:
        return []
    ((name, largest),) = sizes.most_common(1)
    usual = int(np.median(list(sizes.values())))
    if largest < 10 * usual or largest < len(table) / 10:
        return []
    return [
        f"{largest} of {len(table)} images are of group '{name}', the others of {usual} or so "
        "each; if it stands for no patient, name the word with --missing-values"
    ]


def notes_on_names(class_names: Sequence[str]) -> list[str]:
    """Return which classes may be one written in several ways, or several in one."""
    alike: dict[str, list[str]] = {}
    for name in class_names:
        alike.setdefault(" ".join(plain(name).casefold().split()), []).append(name)
    return _note_on_several(class_names) + [
        f"{', '.join(map(repr, names))} are {len(names)} classes, whose names differ by case, "
        "blanks or the way an accent is stored; write them alike if they are one"
        for names in alike.values()
        if len(names) > 1
    ]


def _note_on_several(class_names: Sequence[str]) -> list[str]:
    """Return that labels such as `A|B`, where A and B are classes too, look like several."""
    for sign in ("|", ";", ",", "+", " "):
        several = [
            name
            for name in class_names
            if sign in name and {part.strip() for part in name.split(sign)} <= set(class_names)
        ]
        if several:
            return [
                f"{len(several)} of {len(class_names)} classes look like several of the others at "
                f"once, first {several[0]!r}; an image has one class here"
            ]
    return []


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


def checked_id(place: str, value: str) -> str:
    """Return a path below the data folder without the ending of an image.

    Raises:
        UserError: it is none.
    """
    path = PurePosixPath(value)
    foreign = "\\" in value or "\0" in value or PureWindowsPath(value).drive
    if not value or path.is_absolute() or ".." in path.parts or foreign:
        raise UserError(
            f"{place}: the image {value!r} is not allowed; give a file name or a "
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
