"""Any folder of images: one sub-folder a class, or a CSV that says what each image shows.

Without a CSV the class of an image is the sub-folder of the data folder that it lies in, at any
depth; classes are sorted by name. With one (`schema.TableColumns`) the folder may be arranged in
any way: a row names an image by its path below the folder or, where only one file is called so, by
its file name alone, in both cases with or without the ending. Group and split columns are optional;
an empty group makes the image its own.

An image is known by that path or name without its ending. Names that begin with a dot are skipped.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import TableColumns
from lmd_bench.data.csv_rows import FIRST_LINE, Row, read_rows
from lmd_bench.data.datasets._base import Dataset
from lmd_bench.data.table import DatasetCard, ImageTable, own_group

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"})
SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


class Folder(Dataset):
    """The images of a person's own folder."""

    card = DatasetCard(
        name="folder",
        title="Your own images: a folder with one sub-folder a class, or with a CSV",
        class_names=(),
        licence="that of your images",
        citation="the source of your images",
        url="",
        how_to_get=(
            "Put the images of each class into a sub-folder of its name; or describe a CSV with "
            "--images-csv, --image-column and --label-column (and --group-column, --split-column)."
        ),
        group="group",
        splits="those of --split-column",
    )

    def describe(self, columns: TableColumns) -> None:
        """Read the images that a CSV lists, from now on."""
        self.columns = columns
        self.tables = (str(columns.images_csv.expanduser().resolve()),)

    def read(self, root: Path | None) -> ImageTable:
        """Return the images of the sub-folders sorted by path, or those of the CSV in its order."""
        if self.columns is None:
            return self._by_folder(self.check_root(root))
        return self._by_csv(self.check_root(root), self.columns)

    def files(self, root: Path | None) -> Iterator[os.DirEntry[str]]:
        """Yield the image files at any depth below the folder."""
        yield from _images_below(self.check_root(root))

    def paths(self, root: Path | None, table: ImageTable) -> tuple[Path | None, ...]:
        """Return the file of each image, None where it is missing.

        Raises:
            UserError: an image's name is that of several files.
        """
        folder = self.check_root(root)
        files = _Files(folder, self.files(root))
        return tuple(files.find(image_id) for image_id in table.image_ids)

    def _by_folder(self, root: Path) -> ImageTable:
        ids = sorted(_name(Path(entry.path).relative_to(root)) for entry in self.files(root))
        inside = [image_id for image_id in ids if "/" in image_id]
        if not inside:
            raise UserError(f"{root} has no sub-folder with images. {self.card.how_to_get}")
        if len(inside) < len(ids):
            loose = next(image_id for image_id in ids if "/" not in image_id)
            raise UserError(
                f"{root} holds images outside the sub-folders of its classes, first {loose}; move "
                "them into one, or describe a CSV with --images-csv."
            )
        _refuse_twice(root, ids, [f"file {image_id}" for image_id in ids])
        names = [image_id.partition("/")[0] for image_id in ids]
        return _table(ids, names, [""] * len(ids), None)

    def _by_csv(self, root: Path, columns: TableColumns) -> ImageTable:
        file = Path(self.tables[0])
        optional = (columns.group_column, columns.split_column)
        wanted = [columns.image_column, columns.label_column, *filter(None, optional)]
        rows = read_rows(
            file, wanted, how_to_get="--images-csv names the CSV that lists the images."
        )
        numbered = list(enumerate(rows, start=FIRST_LINE))
        ids = [_checked_id(file, i, row[columns.image_column]) for i, row in numbered]
        _refuse_twice(file, ids, [f"line {i}" for i, _ in numbered])
        labels = [_filled(file, i, row, columns.label_column) for i, row in numbered]
        groups = [row[columns.group_column] if columns.group_column else "" for row in rows]
        splits = None
        if columns.split_column is not None:
            splits = [_split(file, i, row[columns.split_column]) for i, row in numbered]
        return _table(ids, labels, groups, splits)


class _Files:
    """Finds an image by its path below the folder, or by its file name where that is unique."""

    def __init__(self, root: Path, entries: Iterator[os.DirEntry[str]]) -> None:
        self._root = root
        self._by_path: dict[str, list[Path]] = {}
        self._by_name: dict[str, list[Path]] = {}
        for entry in entries:
            path = Path(entry.path)
            relative = _name(path.relative_to(root))
            self._by_path.setdefault(relative, []).append(path)
            self._by_name.setdefault(relative.rpartition("/")[2], []).append(path)

    def find(self, image_id: str) -> Path | None:
        matches = self._by_path.get(image_id) or self._by_name.get(image_id, [])
        if len(matches) > 1:
            listed = " and ".join(str(path.relative_to(self._root)) for path in sorted(matches)[:2])
            raise UserError(
                f"Image {image_id} could be {listed} in {self._root}; name it by its path below "
                "that folder, and keep one file of each name."
            )
        return matches[0] if matches else None


def _images_below(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _images_below(Path(entry.path))
            elif Path(entry.name).suffix.lower() in SUFFIXES:
                yield entry


def _name(file: Path | PurePosixPath) -> str:
    """Return a path in POSIX form without the ending of an image; another dot stays."""
    return (file.with_suffix("") if file.suffix.lower() in SUFFIXES else file).as_posix()


def _table(
    ids: Sequence[str], names: Sequence[str], groups: Sequence[str], splits: list[str] | None
) -> ImageTable:
    class_names = tuple(sorted(set(names)))
    label_of = {name: label for label, name in enumerate(class_names)}
    return ImageTable(
        image_ids=tuple(ids),
        labels=np.array([label_of[name] for name in names], dtype=np.int64),
        groups=tuple(g or own_group(i) for g, i in zip(groups, ids, strict=True)),
        class_names=class_names,
        splits=None if splits is None else tuple(splits),
    )


def _checked_id(file: Path, number: int, value: str) -> str:
    path = PurePosixPath(value)
    if not value or path.is_absolute() or ".." in path.parts or set("\\:\0") & set(value):
        raise UserError(
            f"{file}, line {number}: the image {value!r} is not allowed; give a file name or a "
            "path below the data folder, with '/' and without '..'."
        )
    return _name(path)


def _filled(file: Path, number: int, row: Row, column: str) -> str:
    if not row[column]:
        raise UserError(
            f"{file}, line {number}: column {column} is empty; every image needs a class, so fill "
            "it in or remove the row."
        )
    return row[column]


def _split(file: Path, number: int, value: str) -> str:
    if value.lower() in SPLITS:
        return SPLITS[value.lower()]
    raise UserError(
        f"{file}, line {number}: unknown split {value!r}; allowed are {', '.join(SPLITS)}."
    )


def _refuse_twice(source: Path, ids: Sequence[str], places: Sequence[str]) -> None:
    first: dict[str, str] = {}
    for image_id, place in zip(ids, places, strict=True):
        if image_id in first:
            raise UserError(
                f"{source}, {place}: image {image_id} was there before, {first[image_id]} (its "
                "ending does not count); every image must be listed once."
            )
        first[image_id] = place
