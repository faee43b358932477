"""Folders of prepared images in the cache: written whole or not at all, opened, locked, swept.

A folder holds `images.npy` (uint8), `index.parquet` and `meta.json`; that of a data set of features
holds `features.npy` (float32) in place of the images. It is written under another
name, `<folder>.partial`, by the one process that holds `<folder>.lock`, and renamed when complete.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from jaxtyping import Float32, Int64, UInt8

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import canonical_json
from lmd_bench.data.datasets._base import PixelBlock
from lmd_bench.data.intensity import FULL
from lmd_bench.data.table import ImageTable

PARTIAL = ".partial"
_WAIT = 10.0  # seconds between two times that a run which waits is told so
NO_IMAGES = 0  # the image size of a data set of features


@dataclass(frozen=True, eq=False)
class PreparedImages:
    """The images of a data set at one size; the pixels stay on disk until they are read."""

    table: ImageTable  # images present, in the order of the pixels
    image_size: int  # pixels, square; 0: there are features in place of images
    fingerprint: str  # of ids, labels, groups, declared splits, size and pixels
    n_missing: int  # listed images that were left out
    folder: Path
    intensity: str = FULL  # how values became grey levels, with the range that was found
    near: Path | None = None  # folder of a copy of the array on this node's own disk

    def read(
        self, indices: Int64[np.ndarray, " images"]
    ) -> UInt8[np.ndarray, "images size size 3"]:
        """Return a copy of the pixels in these rows of the table."""
        return self.mapped()[indices]

    def mapped(self) -> UInt8[np.ndarray, "images size size 3"]:
        """Return all pixels on the memory map, which every process of this machine shares.

        Writing to them changes this process's view alone, page by page, and ends the sharing.
        """
        assert not self.holds_features
        return _mapped(self.near or self.folder, self.image_size)

    @property
    def array(self) -> Path:
        """Return the file of the pixels, or of the features, in the cache."""
        return _array(self.folder, self.image_size)

    @property
    def holds_features(self) -> bool:
        """Return whether there are features in place of images."""
        return self.image_size == NO_IMAGES

    def features(self) -> Float32[np.ndarray, "images width"]:
        """Return the features of a data set of such, on the memory map."""
        assert self.holds_features
        return _mapped(self.folder, self.image_size)


def open_folder(folder: Path) -> PreparedImages | None:
    """Return what a folder holds; None where there is none, or none that is whole."""
    import pyarrow.parquet as pq

    try:
        meta = json.loads((folder / "meta.json").read_text())
        index = pq.read_table(folder / "index.parquet")
        table = ImageTable(
            image_ids=tuple(index["image_id"].to_pylist()),
            labels=index["label"].to_numpy(),
            groups=tuple(index["group"].to_pylist()),
            class_names=tuple(meta["class_names"]),
            splits=tuple(index["split"].to_pylist()) if "split" in index.column_names else None,
            own_splits=meta.get("own_splits", False),
        )
        size = meta["image_size"]
        # Folders of an earlier version do not say it.
        how = meta.get("intensity", FULL)
        prepared = PreparedImages(table, size, meta["fingerprint"], meta["n_missing"], folder, how)
        shape = _mapped(folder, size).shape
    # ValueError: a file cut short.
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    # Files that open one by one need not be of one preparation.
    expected = (size, size, 3) if size != NO_IMAGES else shape[1:]
    whole = shape == (meta["n_images"], *expected) and len(table) == meta["n_images"]
    return prepared if whole else None


@contextmanager
def locked(folder: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the folder's lock; concurrent runs wait for one another.

    Args:
        folder: Of the cache.
        on_wait: Is told now and then while another run holds it.

    Raises:
        UserError: the cache cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = _lock(folder)
        while not lock.is_locked:
            try:
                lock.acquire(timeout=_WAIT)
            except Timeout:
                on_wait()
    except OSError as error:
        raise cannot_write(folder.parent, str(error)) from error
    try:
        yield
    finally:
        lock.release()


def write_folder(
    folder: Path,
    name: str,
    table: ImageTable,
    image_size: int,
    n_missing: int,
    blocks: Iterator[PixelBlock],
    progress: Callable[[int, int], None] | None,
    intensity: str = FULL,
) -> None:
    """Write the folder under another name and rename it; the caller holds its lock.

    Args:
        folder: what it will be called.
        name: of the data set.
        table: one row per image of `blocks`.
        image_size: pixels, square.
        n_missing: listed images that were left out.
        blocks: the pixels in the order of the table; what it raises leaves no folder behind.
        progress: called with the images done and all images after each block.
        intensity: how values of pixels became grey levels.

    Raises:
        UserError: the disk is full or cannot be written.
    """
    cache = folder.parent
    partial = folder.with_name(folder.name + PARTIAL)
    try:
        _sweep(folder)
        # What a killed run left, and an incomplete copy of the folder that was not opened.
        for left_over in (partial, folder):
            shutil.rmtree(left_over, ignore_errors=True)
        _check_space(cache, len(table) * image_size * image_size * 3)
        partial.mkdir()
        identity = _identity(table, image_size, intensity)
        digest = _write_pixels(partial, table, image_size, blocks, progress, identity)
        _write_index(partial / "index.parquet", table)
        about = {"fingerprint": digest, "intensity": intensity}
        _write_meta(partial / "meta.json", name, table, image_size, n_missing, about)
        partial.rename(folder)
    except OSError as error:
        raise cannot_write(cache, str(error)) from error
    # Also when the blocks fail or a person interrupts: a full disk must not stay full.
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def cannot_write(cache: Path, reason: str) -> UserError:
    """Return the error for a cache that cannot be written."""
    return UserError(
        f"The prepared images cannot be written to {cache} ({reason}); free some space there, or "
        "set LMD_BENCH_CACHE to another folder."
    )


def _mapped(folder: Path, image_size: int) -> np.ndarray:
    # Mode "c", as torch takes no array that cannot be written.
    return np.asarray(np.load(_array(folder, image_size), mmap_mode="c", allow_pickle=False))


def _array(folder: Path, image_size: int) -> Path:
    return folder / ("features.npy" if image_size == NO_IMAGES else "images.npy")


def _lock(folder: Path) -> FileLock:
    return FileLock(folder.with_name(f"{folder.name}.lock"), fallback_to_soft=False)


def _sweep(folder: Path) -> None:
    """Remove what killed runs left of other folders; one being written is locked and stays."""
    for partial in folder.parent.glob(f"*{PARTIAL}"):
        owner = partial.with_suffix("")
        if owner == folder:
            continue
        try:
            with _lock(owner).acquire(timeout=0):
                shutil.rmtree(partial, ignore_errors=True)
        # Held by another run (a Timeout is an OSError), or another person's.
        except OSError:
            continue


def _check_space(cache: Path, needed: int) -> None:
    free = shutil.disk_usage(cache).free
    if free < needed:
        reason = f"{needed / 2**20:,.0f} MiB are needed and {free / 2**20:,.0f} MiB are free"
        raise cannot_write(cache, reason)


def _write_pixels(
    folder: Path,
    table: ImageTable,
    image_size: int,
    blocks: Iterator[PixelBlock],
    progress: Callable[[int, int], None] | None,
    identity: list[object],
) -> str:
    """Write the array and return the fingerprint of table, size and pixels (or features)."""
    digest = hashlib.sha256(canonical_json(identity).encode())
    done = 0
    # Written in sequence, not through a memory map: a full disk is then an error, not a crash.
    with _array(folder, image_size).open("wb") as stream:
        for block in blocks:
            # Only the first block says what all are made of.
            if not done:
                descr = np.lib.format.dtype_to_descr(block.dtype)
                shape = (len(table), *block.shape[1:])
                header = {"descr": descr, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(stream, header)
            content = np.ascontiguousarray(block).data
            stream.write(content)
            digest.update(content)
            done += len(block)
            if progress is not None:
                progress(done, len(table))
        # The new name must not outlive a power cut without the pixels.
        stream.flush()
        os.fsync(stream.fileno())
    assert done == len(table), f"{done} images decoded for a table of {len(table)}"
    return digest.hexdigest()[:20]


def _identity(table: ImageTable, image_size: int, intensity: str) -> list[object]:
    # What is not there is not named, so that data sets keep the fingerprints of earlier versions.
    declared = [] if table.splits is None else [table.splits]
    mapped = [] if intensity == FULL else [intensity]
    ids, labels = table.image_ids, table.labels.tolist()
    return [ids, labels, table.groups, table.class_names, image_size, *declared, *mapped]


def _write_index(file: Path, table: ImageTable) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"image_id": table.image_ids, "label": table.labels, "group": table.groups}
    if table.splits is not None:
        columns["split"] = table.splits
    pq.write_table(pa.table(columns), file)


def _write_meta(
    file: Path, name: str, table: ImageTable, image_size: int, n_missing: int, about: dict[str, str]
) -> None:
    counts = np.bincount(table.labels, minlength=len(table.class_names))
    meta = {
        "dataset": name,
        "image_size": image_size,
        "class_names": list(table.class_names),
        "class_counts": [int(count) for count in counts],
        "n_images": len(table),
        "n_missing": n_missing,
        **about,
        "own_splits": table.own_splits,
    }
    file.write_text(json.dumps(meta, indent=2))
