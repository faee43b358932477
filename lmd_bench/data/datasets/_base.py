"""What a data set must say and do: the contract of every file in this folder.

A data set of files states its card, the CSVs it reads and the folders its images lie in, and
implements `read`. One that is drawn overrides `missing` and `image` as well.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import TableColumns
from lmd_bench.data.datasets._decode import FileValues, decode, inspect
from lmd_bench.data.file_names import check_utf8, other_isic_name
from lmd_bench.data.intensity import Levels
from lmd_bench.data.table import DatasetCard, ImageTable, PublishedFile

SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})

# of some images, or the features that a data set has in their place
PixelBlock = UInt8[np.ndarray, "block size size 3"] | Float32[np.ndarray, "block width"]


class Dataset(ABC):
    """A data set: its card, its table of images, and the pixels of each."""

    card: ClassVar[DatasetCard]
    aliases: ClassVar[tuple[str, ...]] = ()
    images_from: ClassVar[tuple[str, ...]] = ()  # data sets of which it holds images
    version: ClassVar[int] = 1  # raised when the same files would give other images or labels
    tables: tuple[str, ...] = ()  # the CSVs read from root
    image_folders: ClassVar[tuple[str, ...]] = ()  # below root, searched in this order
    # Some images of ISIC go by two names, with and without an ending of their id.
    isic_names: ClassVar[bool] = False
    published: ClassVar[tuple[PublishedFile, ...]] = ()  # what `download` fetches

    columns: TableColumns | None = None
    levels: Levels | None = None  # values that become black and white; None: those of the type

    def describe(self, columns: TableColumns) -> None:
        """Read what a person's CSV lists, from now on.

        Raises:
            UserError: this data set has a published layout of its own.
        """
        raise UserError(
            f"Data set '{self.card.name}' is read in its published layout, so --images-csv and the "
            "names of columns do not apply; leave them out, or take --dataset folder."
        )

    @abstractmethod
    def read(self, root: Path | None) -> ImageTable:
        """Return all listed images, present or not, in the order of the files.

        Raises:
            UserError: the folder or a CSV is absent, or its content is not as published.
        """

    def check_root(self, root: Path | None) -> Path:
        """Return the folder of the raw files.

        Raises:
            UserError: there is none; says what to download and where to put it.
        """
        if root is not None and root.is_dir():
            check_utf8(root)
            return root
        given = "no data folder was given" if root is None else f"{root} is not a folder"
        raise UserError(
            f"The files of data set '{self.card.name}' were not found ({given}). "
            f"{self.card.how_to_get} Name the folder as data root (--data-root), or put it at "
            f"$LMD_BENCH_DATA/{self.card.name}."
        )

    def file(self, root: Path | None, names: Sequence[str]) -> Path:
        """Return the first of these files below root that is there; if none is, the first of all.

        Raises:
            UserError: there is no folder `root`.
        """
        files = [self.check_root(root) / name for name in names]
        return next((file for file in files if file.is_file()), files[0])

    def complete(self, root: Path) -> None:
        """Make what is read of the published files that were downloaded; nothing, as here."""
        return

    def files(self, root: Path | None) -> Iterator[os.DirEntry[str]]:
        """Yield the image files that lie in the data set's folders; absent folders hold none."""
        for name in self.image_folders:
            folder = self.check_root(root) / name
            if folder.is_dir():
                with os.scandir(folder) as entries:
                    yield from (e for e in entries if Path(e.name).suffix.lower() in SUFFIXES)

    def paths(self, root: Path | None, table: ImageTable) -> tuple[Path | None, ...]:
        """Return the file of each image, None where it is missing. Lists the folders once."""
        path_of: dict[str, Path] = {}
        for entry in self.files(root):
            path_of.setdefault(Path(entry.name).stem, Path(entry.path))
        if self.isic_names:
            path_of = {other_isic_name(name): path for name, path in path_of.items()} | path_of
        return tuple(path_of.get(image_id) for image_id in table.image_ids)

    def where(self, root: Path | None, image_id: str) -> str:
        """Return where a listed image that was not found may lie, or how to get it."""
        return self.card.how_to_get

    def notes(self, root: Path | None) -> tuple[str, ...]:
        """Return what a person should know of the files as they lie there; nothing, as here."""
        return ()

    def missing(self, root: Path | None, table: ImageTable) -> Bool[np.ndarray, " images"]:
        """Return True for each listed image that has no file."""
        return np.array([path is None for path in self.paths(root, table)], dtype=np.bool_)

    def stream(self, root: Path | None, size: int) -> Iterator[PixelBlock] | None:
        """Return all images in blocks, in the order of the table, if they lie in one archive.

        None, as here, where each image is had on its own by `image`. A data set of features gives
        these in place of pixels.
        """
        return None

    def content(self, image_id: str, path: Path | None) -> bytes | None:
        """Return the bytes of an image that lies in an archive; None, as here, for a file."""
        return None

    def inspect(self, image_id: str, path: Path | None) -> tuple[FileValues | None, int]:
        """Return the values of an image's file, None where it has 8 bits a value, and its pages.

        Raises:
            UserError: the file cannot be read.
        """
        assert path is not None, f"{image_id} has no file"
        return inspect(path, self.content(image_id, path))

    @property
    def opens_files(self) -> bool:
        """Return whether the images are files, opened by the one decoder."""
        return type(self).image is Dataset.image and type(self).stream is Dataset.stream

    def image(
        self, image_id: str, path: Path | None, size: int
    ) -> UInt8[np.ndarray, "size size 3"]:
        """Return one image as RGB, `size` pixels square. Several threads call this at once.

        Args:
            image_id: its name in the table.
            path: its file as `paths` gives it; a data set that is drawn needs none.
            size: pixels; the aspect ratio is not kept (as LMD does).

        Raises:
            UserError: the file cannot be decoded.
        """
        assert path is not None, f"{image_id} has no file"
        content = self.content(image_id, path)
        # So that a fault is told of the image, and not of the archive alone.
        name = path if content is None else path / image_id
        return decode(name, size, self.levels, content)


def unpacked(*folders: str) -> tuple[str, ...]:
    """Return where folders of zips may lie: as called, in lower case, or in one of their name."""
    spellings = dict.fromkeys(name for folder in folders for name in (folder, folder.lower()))
    return (*spellings, *(f"{name}/{name}" for name in spellings))
