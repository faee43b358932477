"""Prepared arrays: every image of a data set decoded and resized once, then opened from the cache.

A cache folder is named by a hash of the declared source (files, sizes, dates, CSV contents), so a
changed source is prepared anew; one that changes while it is being prepared is refused.
"""

import hashlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from lmd_bench.core import paths, plugins
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource, content_hash
from lmd_bench.data import datasets
from lmd_bench.data.datasets import Dataset
from lmd_bench.data.datasets._base import PixelBlock
from lmd_bench.data.images.cache import NO_IMAGES, locked, open_folder, write_folder
from lmd_bench.data.images.cache import PreparedImages as PreparedImages
from lmd_bench.data.images.decoding import Source, decode_all
from lmd_bench.data.images.values import settle_levels
from lmd_bench.data.intensity import FULL
from lmd_bench.data.table import ImageTable
from lmd_bench.data.tasks.rare_classes import settle_rare_classes

DECODER_VERSION = 2  # raised when the same file would give other pixels
SMALLEST, LARGEST = 8, 1024  # image sizes, pixels


def prepare(
    dataset: str,
    source: DataSource,
    image_size: int,
    *,
    n_threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
    on_wait: Callable[[], None] = lambda: None,
) -> PreparedImages:
    """Return the prepared images, decoding them only if the cache does not hold them.

    Args:
        dataset: name or alias of a data set.
        source: where its raw files lie and how they are read; without a root,
            `$LMD_BENCH_DATA/<dataset>` is taken.
        image_size: pixels, square; a data set of features has none.
        n_threads: images decoded at once.
        progress: called with the images done and all images after each chunk.
        on_wait: told now and then while another process prepares them.

    Raises:
        UserError: an unknown data set, absent or faulty files, missing or unreadable images, files
            that change meanwhile, or a cache folder that cannot be written.
    """
    data = datasets.load(dataset, source.columns)
    name = data.card.name
    if data.card.features:
        image_size = NO_IMAGES
    elif not SMALLEST <= image_size <= LARGEST:
        raise UserError(
            f"Image size {image_size} is not allowed; give {SMALLEST} to {LARGEST} pixels."
        )
    raw = _look(data, paths.data_root(name, source.root))
    key = _source_hash(raw, image_size, source)
    size = "" if data.card.features else f"{image_size}px-"
    folder = paths.cache_root() / f"{name}-{size}{key}"
    # A whole folder never changes, so it is opened without the lock.
    if (prepared := open_folder(folder)) is not None:
        return prepared
    with locked(folder, on_wait):
        # Another process may have written it while this one waited for the lock.
        if (prepared := open_folder(folder)) is None:
            _write(folder, raw, image_size, source, n_threads, progress)
            prepared = open_folder(folder)
    assert prepared is not None, f"{folder} was just written"
    return prepared


@dataclass(frozen=True)
class _Raw:
    """A data set's raw files as they lie on disk; no image is opened."""

    data: Dataset
    root: Path | None  # None: the images are drawn
    tables: dict[str, str]  # CSV -> hash of its content
    images: dict[str, tuple[int, int]]  # path -> size in bytes, time of the last change in ns


def _look(data: Dataset, root: Path | None) -> _Raw:
    with _readable(data, root):
        root = data.check_root(root) if data.card.downloads else None
        tables: dict[str, str] = {}
        for name in data.tables:
            file = data.check_root(root) / name
            # One of several files of the same may be absent.
            if file.is_file():
                tables[name] = hashlib.sha256(file.read_bytes()).hexdigest()
        stats = ((entry.path, entry.stat()) for entry in data.files(root))
        images = {path: (stat.st_size, stat.st_mtime_ns) for path, stat in stats}
    return _Raw(data, root, tables, images)


@contextmanager
def _readable(data: Dataset, root: Path | None) -> Iterator[None]:
    """Say which folder cannot be read, and why."""
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(
            f"{error.filename} is a link to nothing, or was removed just now; mend or remove it."
        ) from error
    except OSError as error:
        raise UserError(
            f"The files of data set '{data.card.name}' in {root} cannot be read ({error}); "
            "mend their permissions, or copy the data set to another folder."
        ) from error


def _source_hash(raw: _Raw, image_size: int, source: DataSource) -> str:
    """Return the hash of everything that shapes the prepared arrays."""
    data = raw.data
    # Not named where it is as in earlier versions, so that their folders are opened.
    mapped = {} if source.intensity == FULL else {"intensity": source.intensity}
    return content_hash(
        {
            **mapped,
            "dataset": [data.card.name, _version(data), data.card.class_names],
            "decoder": DECODER_VERSION,
            "size": image_size,
            "root": str(raw.root),
            "allow_missing": source.allow_missing,
            # Not as it was typed: its resolved path and its content are among the tables.
            "columns": data.columns and asdict(data.columns) | {"images_csv": ""},
            "rare_classes": [source.rare_classes, source.rare_below],
            "tables": raw.tables,
            "files": sorted([path, *stat] for path, stat in raw.images.items()),
        }
    )


def _version(data: Dataset) -> int | str:
    # With the hash of its file where it is from outside: an edit there may change what is read.
    return plugins.version("datasets", data.card.name)


def _write(
    folder: Path,
    raw: _Raw,
    image_size: int,
    source: DataSource,
    n_threads: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Decode the images that are present into `folder`; the caller holds its lock."""
    data = raw.data
    with _readable(data, raw.root):
        present = _present(raw, source)
    levels = settle_levels(data, source.intensity, present.sources, n_threads)
    data.levels = levels
    streamed = data.stream(raw.root, image_size)
    decoded = (
        decode_all(data, present.sources, image_size, n_threads)
        if streamed is None
        else _rows_of(streamed, present.rows)
    )
    # Closed here, whatever happens, so that no thread decodes on behind an error.
    with closing(_unchanged(raw, decoded)) as blocks:
        write_folder(
            folder,
            data.card.name,
            present.table,
            image_size,
            present.n_missing,
            blocks,
            progress,
            FULL if levels is None else str(levels),
        )


def _unchanged(raw: _Raw, blocks: Iterator[PixelBlock]) -> Generator[PixelBlock, None, None]:
    """Yield the blocks, and refuse them at the end if a file is no longer what it was."""
    yield from blocks
    # The folder is named by what was seen first, and would hold pixels of something else.
    now = _look(raw.data, raw.root)
    changed = sorted(
        {name for name, _ in raw.tables.items() ^ now.tables.items()}
        | {path for path, _ in raw.images.items() ^ now.images.items()}
    )
    if changed:
        raise UserError(
            f"{len(changed)} of the files in {raw.root} changed while they were being prepared, "
            f"first {changed[0]}; run the same command again when nothing writes there any more."
        )


@dataclass(frozen=True)
class _Present:
    """The images that will be prepared."""

    table: ImageTable
    rows: Int64[np.ndarray, " present"]  # of the whole table
    sources: list[Source]
    n_missing: int


def _present(raw: _Raw, source: DataSource) -> _Present:
    """Return the images that have a file, without the classes that the person leaves out."""
    data, root = raw.data, raw.root
    table = data.read(root)
    files = data.paths(root, table)
    missing = data.missing(root, table)
    n_missing = int(missing.sum())
    if n_missing and (n_missing == len(table) or not source.allow_missing):
        listed = ", ".join(raw.tables)
        # Where no image is here, the folder is the wrong one: --allow-missing would not help.
        go_on = "" if n_missing == len(table) else "; --allow-missing goes on with those present"
        first = table.image_ids[int(missing.argmax())]
        raise UserError(
            f"{n_missing} of {len(table)} images listed in {listed} are missing from {root}, first "
            f"{first}{go_on}. {data.where(root, first)}"
        )
    # After the missing images are left out: a class may have become rare by that alone.
    with_file = np.flatnonzero(~missing)
    settled, kept = settle_rare_classes(
        table.take(with_file), source.rare_classes, source.rare_below
    )
    rows = with_file[kept]
    sources = [(table.image_ids[row], files[row]) for row in rows]
    return _Present(settled, rows, sources, n_missing)


def _rows_of(
    blocks: Iterator[PixelBlock], rows: Int64[np.ndarray, " rows"]
) -> Iterator[PixelBlock]:
    """Yield the images at `rows`, which rise, of a stream of all images."""
    start = 0
    for block in blocks:
        wanted = rows[(rows >= start) & (rows < start + len(block))] - start
        start += len(block)
        yield block[wanted]
