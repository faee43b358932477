"""The 2-D MedMNIST family: one `.npz` for each data set and image size, with its official split.

Yang et al.: MedMNIST v2, a large-scale lightweight benchmark for 2D and 3D biomedical image
classification. Scientific Data 10, 2023. https://doi.org/10.1038/s41597-022-01721-8. The sizes 64,
128 and 224 came with release 3, https://zenodo.org/records/10519652.

A file such as `dermamnist_64.npz` (`dermamnist.npz` at 28 px) is a zip of the arrays
`train_images`, `train_labels`, `val_...` and `test_...`; grey images have no channel axis. The
arrays are compressed, so they are read from front to back, a block of images at a time, and an
image is known by its split and row. Patients are not published: every image is its own group.
Class counts are the published ones where they are given; the organ sets changed by a few images in
release 3, and for them the number of images alone is.
"""

import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import Bool, Int64, UInt8
from PIL import Image

from lmd_bench.core.errors import UserError
from lmd_bench.data.datasets._base import Dataset
from lmd_bench.data.table import DatasetCard, ImageTable, PublishedFile, own_group

SPLITS = ("train", "val", "test")
SIZES = (28, 64, 128, 224)  # pixels, square
URL = "https://zenodo.org/records/10519652"
REFUSED = {
    "chestmnist": (
        "Data set 'chestmnist' is not supported: its images have up to 14 labels at once, and a "
        "long-tailed task here has one class for each image."
    )
}
_BLOCK_BYTES = 2**24  # of images read at a time
_FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError, OSError)


def medmnist_card(
    name: str,
    title: str,
    class_names: tuple[str, ...],
    source: str,
    expected: tuple[int, ...] | int,
    licence: str = "CC BY 4.0",
) -> DatasetCard:
    """Return the card of a member.

    Args:
        name: of the data set and its files.
        title: what the images show.
        class_names: in the order of the labels.
        source: the data that the member was made from, to be cited as well.
        expected: images of each class in all three splits, or of all classes together.
        licence: of the member's images.
    """
    files = [_file_name(name, size) for size in SIZES]
    counts = expected if isinstance(expected, tuple) else None
    return DatasetCard(
        name=name,
        title=title,
        class_names=class_names,
        licence=licence,
        citation=(
            f"Yang et al., Scientific Data 10 (2023), doi:10.1038/s41597-022-01721-8; {source}"
        ),
        url="https://medmnist.com",
        how_to_get=(
            f"Download one or more of {', '.join(files)} (28 to 224 px) from {URL} into one "
            "folder; the package medmnist downloads them to ~/.medmnist."
        ),
        expected_counts=counts,
        splits="train, val and test of the .npz file",
        expected_images=expected if isinstance(expected, int) else None,
    )


def medmnist_files(name: str, *md5s: str) -> tuple[PublishedFile, ...]:
    """Return the files of a member at 28, 64, 128 and 224 px, with the sums that its authors give.

    They stand in the package of the authors, https://github.com/MedMNIST/MedMNIST, medmnist/info.py
    at commit 805b742.
    """
    return tuple(
        PublishedFile(
            _file_name(name, size),
            f"{URL}/files/{_file_name(name, size)}?download=1",
            f"md5:{md5}",
            size=size,
        )
        for size, md5 in zip(SIZES, md5s, strict=True)
    )


class MedMnist(Dataset):
    """A member of the family; its file holds a card and no more."""

    def read(self, root: Path | None) -> ImageTable:
        """Return the images of train, val and test, in the order of the smallest file present."""
        file = next(iter(self._sizes(root).values()))
        labels = [self._labels(file, split) for split in SPLITS]
        sizes = zip(SPLITS, map(len, labels), strict=True)
        ids = [f"{split}-{row:06d}" for split, n in sizes for row in range(n)]
        return ImageTable(
            image_ids=tuple(ids),
            labels=np.concatenate(labels),
            groups=tuple(own_group(image_id) for image_id in ids),
            class_names=self.card.class_names,
            splits=tuple(image_id.partition("-")[0] for image_id in ids),
        )

    def files(self, root: Path | None) -> Iterator[os.DirEntry[str]]:
        """Yield the `.npz` files of this data set."""
        names = {_file_name(self.card.name, size) for size in SIZES}
        with os.scandir(self.check_root(root)) as entries:
            yield from (entry for entry in entries if entry.name in names)

    def paths(self, root: Path | None, table: ImageTable) -> tuple[Path | None, ...]:
        """Return None for every image: none has a file of its own."""
        return (None,) * len(table)

    def missing(self, root: Path | None, table: ImageTable) -> Bool[np.ndarray, " images"]:
        """Return False for every image: what the file lists, it holds."""
        return np.zeros(len(table), dtype=np.bool_)

    def stream(
        self, root: Path | None, size: int
    ) -> Iterator[UInt8[np.ndarray, "block size size 3"]]:
        """Return all images in the order of the table, from the smallest file that is as large.

        Raises:
            UserError: every file present is smaller than `size`, or the file is not as published.
        """
        files = self._sizes(root)
        side = next((side for side in files if side >= size), None)
        if side is None:
            wanted = [_file_name(self.card.name, side) for side in SIZES if side >= size]
            need = f"{' or '.join(wanted)} from {URL}" if wanted else f"at most {SIZES[-1]} px"
            raise UserError(
                f"Images of {size} px cannot be made from {files[max(files)]}, which holds "
                f"{max(files)} px; {'download' if wanted else 'ask for'} {need}."
            )
        first = next(iter(files.values()))
        for split in SPLITS:
            if not np.array_equal(self._labels(first, split), self._labels(files[side], split)):
                raise UserError(
                    f"{first} and {files[side]} hold different labels; download both from {URL}."
                )
        return self._stream(files[side], side, size)

    def _stream(
        self, file: Path, side: int, size: int
    ) -> Iterator[UInt8[np.ndarray, "block size size 3"]]:
        for split in SPLITS:
            n_images = len(self._labels(file, split))
            for block in _image_blocks(file, f"{split}_images", n_images, side):
                yield _resized(block, size)

    def _sizes(self, root: Path | None) -> dict[int, Path]:
        """Return the files present by the size of their images, the smallest first."""
        folder = self.check_root(root)
        files = {size: folder / _file_name(self.card.name, size) for size in SIZES}
        present = {size: file for size, file in files.items() if file.is_file()}
        if not present:
            raise UserError(
                f"{folder} holds none of the files of data set '{self.card.name}'. "
                f"{self.card.how_to_get}"
            )
        return present

    def _labels(self, file: Path, split: str) -> Int64[np.ndarray, " images"]:
        with _array(file, f"{split}_labels") as (stream, shape, dtype):
            values = np.frombuffer(stream.read(), dtype=dtype).reshape(shape)
        n_classes = len(self.card.class_names)
        if values.dtype.kind not in "iu" or shape not in ((len(values), 1), (len(values),)):
            raise UserError(
                f"{file}: {split}_labels are {values.dtype} of shape {shape}; one whole number for "
                f"each image is needed. {self.card.how_to_get}"
            )
        labels = values.reshape(-1).astype(np.int64)
        wrong = np.flatnonzero((labels < 0) | (labels >= n_classes))
        if len(wrong):
            raise UserError(
                f"{file}, row {wrong[0]} of {split}_labels: unknown label {labels[wrong[0]]}; "
                f"allowed are 0 to {n_classes - 1}."
            )
        return labels


def _file_name(name: str, size: int) -> str:
    return f"{name}.npz" if size == SIZES[0] else f"{name}_{size}.npz"


@contextmanager
def _array(file: Path, name: str) -> Iterator[tuple[IO[bytes], tuple[int, ...], np.dtype]]:
    """Open one array of an `.npz` as a stream of its bytes, with its shape and dtype.

    By hand and not with `np.load`, which would hold a whole array in memory; nothing is unpickled.
    """
    try:
        with zipfile.ZipFile(file) as archive, archive.open(f"{name}.npy") as stream:
            version = np.lib.format.read_magic(stream)
            if version == (1, 0):
                header = np.lib.format.read_array_header_1_0(stream)
            else:
                header = np.lib.format.read_array_header_2_0(stream)
            shape, fortran_order, dtype = header
            if fortran_order or dtype.hasobject:
                raise ValueError(f"{name} is no plain array in C order")
            yield stream, shape, dtype
    except _FAULTS as error:
        raise UserError(
            f"{file} cannot be read ({error}); download it again from {URL}."
        ) from error


def _image_blocks(
    file: Path, name: str, n_images: int, side: int
) -> Iterator[UInt8[np.ndarray, "block side side 3"]]:
    """Yield the images of one array, a block at a time; grey ones with three equal channels."""
    with _array(file, name) as (stream, shape, dtype):
        grey = (n_images, side, side)
        if dtype != np.uint8 or shape not in (grey, (*grey, 3)):
            raise ValueError(f"{name} are {dtype} of shape {shape}, not uint8 of {grey} or RGB")
        n_bytes = prod(shape[1:])
        per_block = max(1, _BLOCK_BYTES // n_bytes)
        for start in range(0, n_images, per_block):
            n = min(per_block, n_images - start)
            block = np.frombuffer(stream.read(n * n_bytes), dtype=np.uint8).reshape(n, *shape[1:])
            yield block if block.ndim == 4 else np.repeat(block[..., None], 3, axis=-1)


def _resized(
    block: UInt8[np.ndarray, "block side side 3"], size: int
) -> UInt8[np.ndarray, "block size size 3"]:
    if block.shape[1] == size:
        return block
    images = (Image.fromarray(image) for image in block)
    smaller = (image.resize((size, size), Image.Resampling.BILINEAR) for image in images)
    return np.stack([np.asarray(image) for image in smaller])
