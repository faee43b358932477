"""Any folder of images: one sub-folder a class, or a CSV that says what each image shows.

Without a CSV the class of an image is the sub-folder of the data folder that it lies in, at any
depth; classes are sorted by name. With one (`schema.TableColumns`) the folder may be arranged in
any way: a row names an image by its path below the folder or, where only one file is called so, by
its file name alone, in both cases with or without the ending. Group and split columns are optional;
an empty group makes the image its own.

An image is known by that path or name without its ending. Names that begin with a dot are skipped.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import TableColumns
from lmd_bench.data.datasets._base import Dataset
from lmd_bench.data.datasets._own import (
    SUFFIXES,
    read_listed,
    refuse_twice,
    table_of,
    without_suffix,
)
from lmd_bench.data.table import DatasetCard, ImageTable


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
        root = self.check_root(root)
        if self.columns is None:
            return self._by_folder(root)
        return read_listed(Path(self.tables[0]), self.columns)

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
        ids = sorted(
            without_suffix(Path(entry.path).relative_to(root)) for entry in self.files(root)
        )
        inside = [image_id for image_id in ids if "/" in image_id]
        if not inside:
            raise UserError(f"{root} has no sub-folder with images. {self.card.how_to_get}")
        if len(inside) < len(ids):
            loose = next(image_id for image_id in ids if "/" not in image_id)
            raise UserError(
                f"{root} holds images outside the sub-folders of its classes, first {loose}; move "
                "them into one, or describe a CSV with --images-csv."
            )
        refuse_twice(root, ids, [f"file {image_id}" for image_id in ids])
        names = [image_id.partition("/")[0] for image_id in ids]
        return table_of(ids, names, [""] * len(ids), None)


class _Files:
    """Finds an image by its path below the folder, or by its file name where that is unique."""

    def __init__(self, root: Path, entries: Iterator[os.DirEntry[str]]) -> None:
        self._root = root
        self._by_path: dict[str, list[Path]] = {}
        self._by_name: dict[str, list[Path]] = {}
        for entry in entries:
            path = Path(entry.path)
            relative = without_suffix(path.relative_to(root))
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
