"""Prepared arrays: every image of a data set decoded and resized once, then opened from the cache.

A cache folder is named by a hash of the declared source (files, sizes, dates, CSV contents), so a
changed source is prepared anew. It is written under another name and renamed when complete.
"""

import hashlib
import json
import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock
from jaxtyping import Int64, UInt8

from lmd_bench import datasets, paths
from lmd_bench.datasets import Dataset
from lmd_bench.errors import UserError
from lmd_bench.schema import ImageTable, canonical_json, content_hash

DECODER_VERSION = 1  # raised when the same file would give other pixels
SMALLEST, LARGEST = 8, 1024  # image sizes, pixels
_CHUNK = 64  # images that a worker decodes at a time

Source = tuple[str, Path | None]  # an image's id and file


@dataclass(frozen=True, eq=False)
class PreparedImages:
    """The images of a data set at one size; the pixels stay on disk until they are read."""

    table: ImageTable  # images present, in the order of the pixels
    image_size: int  # pixels, square
    fingerprint: str  # of ids, labels, groups, declared splits, size and pixels
    n_missing: int  # listed images that were left out
    folder: Path

    def read(
        self, indices: Int64[np.ndarray, " images"]
    ) -> UInt8[np.ndarray, "images size size 3"]:
        """Return a copy of the pixels in these rows of the table. The only way to the pixels."""
        return _open_pixels(self.folder)[indices]


def prepare(
    dataset: str,
    root: Path | None,
    image_size: int,
    *,
    allow_missing: bool = False,
    n_workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> PreparedImages:
    """Return the prepared images, decoding them only if the cache does not hold them.

    Args:
        dataset: name or alias of a data set.
        root: folder of its raw files; None takes `$LMD_BENCH_DATA/<dataset>`.
        image_size: pixels, square.
        allow_missing: go on without the listed images that have no file.
        n_workers: processes that decode.
        progress: called with the images done and all images after each chunk.

    Raises:
        UserError: an unknown data set, absent or faulty files, a missing or unreadable image, or
            a cache folder that cannot be written.
    """
    data = datasets.load(dataset)
    _check_size(image_size)
    name = data.card.name
    root = data.check_root(paths.data_root(name, root)) if data.card.downloads else None
    source = _source_hash(data, root, image_size, allow_missing)
    cache = paths.cache_root()
    folder = cache / f"{name}-{image_size}px-{source}"
    if (prepared := _open(folder)) is not None:
        return prepared
    with _locked(folder):
        if (prepared := _open(folder)) is not None:  # another process was first
            return prepared
        table, sources, n_missing = _present(data, root, allow_missing)
        blocks = data.stream(root, image_size) or _decode(name, sources, image_size, n_workers)
        try:
            _write(folder, name, table, image_size, n_missing, blocks, progress)
        except OSError as error:
            raise _cannot_write(cache, error) from error
    prepared = _open(folder)
    assert prepared is not None, f"{folder} was just written"
    return prepared


def _check_size(image_size: int) -> None:
    if not SMALLEST <= image_size <= LARGEST:
        raise UserError(
            f"Image size {image_size} is not allowed; give {SMALLEST} to {LARGEST} pixels."
        )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; concurrent runs wait for one another."""
    lock = FileLock(folder.with_name(f"{folder.name}.lock"))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise _cannot_write(folder.parent, error) from error
    try:
        yield
    finally:
        lock.release()


def _cannot_write(cache: Path, error: OSError) -> UserError:
    return UserError(
        f"The prepared images cannot be written to {cache} ({error}); free some space there, or "
        "set LMD_BENCH_CACHE to another folder."
    )


def _source_hash(data: Dataset, root: Path | None, image_size: int, allow_missing: bool) -> str:
    """Return the hash of everything that shapes the prepared arrays, without opening an image."""
    tables: dict[str, str] = {}
    try:
        for name in data.tables:
            file = data.check_root(root) / name
            tables[name] = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
        stats = [(entry.path, entry.stat()) for entry in data.files(root)]
    except OSError as error:
        raise UserError(
            f"The files of data set '{data.card.name}' in {root} cannot be read ({error}); "
            "mend their permissions, or copy the data set to another folder."
        ) from error
    return content_hash(
        {
            "dataset": [data.card.name, data.version, data.card.class_names],
            "decoder": DECODER_VERSION,
            "size": image_size,
            "root": str(root),
            "allow_missing": allow_missing,
            "tables": tables,
            "files": sorted([path, stat.st_size, stat.st_mtime_ns] for path, stat in stats),
        }
    )


def _present(
    data: Dataset, root: Path | None, allow_missing: bool
) -> tuple[ImageTable, list[Source], int]:
    """Return the table of the images that have a file, their sources, and how many have none."""
    table = data.read(root)
    missing = data.missing(root, table)
    n_missing = int(missing.sum())
    if n_missing and (n_missing == len(table) or not allow_missing):
        listed = ", ".join(data.tables)
        go_on = "" if n_missing == len(table) else "; --allow-missing goes on with those present"
        raise UserError(
            f"{n_missing} of {len(table)} images listed in {listed} are missing from {root}, first "
            f"{table.image_ids[int(missing.argmax())]}{go_on}. {data.card.how_to_get}"
        )
    rows = np.flatnonzero(~missing)
    files = data.paths(root, table)
    return table.take(rows), [(table.image_ids[row], files[row]) for row in rows], n_missing


def _decode(
    name: str, sources: list[Source], image_size: int, n_workers: int
) -> Iterator[UInt8[np.ndarray, "chunk size size 3"]]:
    """Yield the pixels of `sources` in order, a chunk at a time."""
    chunks = [sources[start : start + _CHUNK] for start in range(0, len(sources), _CHUNK)]
    if n_workers <= 1:
        for chunk in chunks:
            yield _decode_chunk(name, chunk, image_size)
        return
    # Not forked: the caller may hold threads (torch, Ray) that do not survive a fork.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        min(n_workers, len(chunks)), mp_context=context, initializer=_end_with_parent
    )
    try:
        yield from pool.map(_decode_chunk, [name] * len(chunks), chunks, [image_size] * len(chunks))
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Let a worker end when the process that started it is killed; it would wait for ever."""

    def watch() -> None:
        parent = multiprocessing.parent_process()
        assert parent is not None
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _decode_chunk(
    name: str, sources: Sequence[Source], image_size: int
) -> UInt8[np.ndarray, "chunk size size 3"]:
    data = datasets.load(name)
    return np.stack([data.image(image_id, path, image_size) for image_id, path in sources])


def _write(
    folder: Path,
    name: str,
    table: ImageTable,
    image_size: int,
    n_missing: int,
    blocks: Iterator[UInt8[np.ndarray, "chunk size size 3"]],
    progress: Callable[[int, int], None] | None,
) -> None:
    """Write the folder under another name and rename it; the caller holds its lock."""
    partial = folder.with_name(f"{folder.name}.partial")
    for left_over in (partial, folder):  # of a killed run; an incomplete copy
        if left_over.exists():
            shutil.rmtree(left_over)
    partial.mkdir()
    digest = hashlib.sha256(canonical_json(_identity(table, image_size)).encode())
    shape = (len(table), image_size, image_size, 3)
    done = 0
    # Written in sequence, not through a memory map: a full disk is then an error, not a crash.
    with (partial / "images.npy").open("wb") as stream:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)
        for block in blocks:
            stream.write(block.tobytes())
            digest.update(block.tobytes())
            done += len(block)
            if progress is not None:
                progress(done, len(table))
    _write_index(partial / "index.parquet", table)
    counts = np.bincount(table.labels, minlength=len(table.class_names))
    meta = {
        "dataset": name,
        "image_size": image_size,
        "class_names": list(table.class_names),
        "class_counts": [int(count) for count in counts],
        "n_images": len(table),
        "n_missing": n_missing,
        "fingerprint": digest.hexdigest()[:20],
    }
    (partial / "meta.json").write_text(json.dumps(meta, indent=2))
    partial.rename(folder)


def _identity(table: ImageTable, image_size: int) -> list[object]:
    declared = [] if table.splits is None else [table.splits]
    labels = table.labels.tolist()
    return [table.image_ids, labels, table.groups, table.class_names, image_size, *declared]


def _write_index(file: Path, table: ImageTable) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"image_id": table.image_ids, "label": table.labels, "group": table.groups}
    if table.splits is not None:
        columns["split"] = table.splits
    pq.write_table(pa.table(columns), file)


def _open(folder: Path) -> PreparedImages | None:
    """Return what a folder holds; None where there is none, or none that is whole."""
    import pyarrow.parquet as pq

    try:
        meta = json.loads((folder / "meta.json").read_text())
        index = pq.read_table(folder / "index.parquet")
        shape = _open_pixels(folder).shape
    except (FileNotFoundError, NotADirectoryError, ValueError):  # the last: a file cut short
        return None
    size = meta["image_size"]
    if shape != (meta["n_images"], size, size, 3) or len(index) != meta["n_images"]:
        return None
    table = ImageTable(
        image_ids=tuple(index["image_id"].to_pylist()),
        labels=index["label"].to_numpy(),
        groups=tuple(index["group"].to_pylist()),
        class_names=tuple(meta["class_names"]),
        splits=tuple(index["split"].to_pylist()) if "split" in index.column_names else None,
    )
    return PreparedImages(table, size, meta["fingerprint"], meta["n_missing"], folder)


def _open_pixels(folder: Path) -> UInt8[np.ndarray, "images size size 3"]:
    mapped = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
    return np.asarray(mapped)  # a plain array on the map, so that indexing gives plain copies
