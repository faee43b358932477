"""Compaction: the rows of many small files gathered in one, while searches go on.

The compacted file is written, read back, and only then are the single files removed; killed at any
moment, each row is in one of the two or in both, and a row in both counts once.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lmd_bench.core.errors import UserError, file_error
from lmd_bench.core.files import publish, temporary_name
from lmd_bench.core.locks import Timeout, locked
from lmd_bench.store.columns import COLUMNS
from lmd_bench.store.row_files import in_order, newest, read_table, scan
from lmd_bench.store.store import Store, open_store


def _leaves(path: str, kind: pa.DataType) -> Iterator[tuple[str, pa.DataType]]:
    """Give each column of numbers or texts that a column is stored as, by its path in Parquet."""
    if pa.types.is_list(kind):
        yield from _leaves(f"{path}.list.element", kind.value_type)
    elif pa.types.is_struct(kind):
        for field in kind:
            yield from _leaves(f"{path}.{field.name}", field.type)
    else:
        yield path, kind


_STORED = [leaf for field in COLUMNS for leaf in _leaves(field.name, field.type)]
# A recall is a share of a class's images, so it takes few values.
_REPEAT = [path for path, kind in _STORED if not pa.types.is_floating(kind) or "_recall" in path]
# But not the curve of an encoder, which its trials repeat number by number.
_SPLIT = [path for path, _ in _STORED if path not in _REPEAT and not path.startswith("curve.")]
# Two fifths smaller than Parquet's usual compression; benchmarks/compaction.py.
_LAYOUT: dict[str, Any] = {
    "compression": "brotli",
    # With the curves whole, 6 to 10 % smaller than zstd at 19, in twice its time to write and to
    # read; 11 would take off 3 % more, in five times the time to write.
    "compression_level": 10,
    "write_page_checksum": True,
    "use_dictionary": _REPEAT,
    # The bytes of one place of all numbers together: signs and exponents repeat.
    "column_encoding": dict.fromkeys(_SPLIT, "BYTE_STREAM_SPLIT"),
}
_ROW_GROUP = 5_000  # rows; one is read to get a single row, and each column of one is a disk read
_ASIDE = ".compacted"  # ending of a single file that is just being removed

Mark = tuple[int, int, int]  # inode, time of change, size: another one is another file


@dataclass(frozen=True)
class Compaction:
    """What came of a compaction."""

    n_rows: int  # in the compacted file
    n_gathered: int  # single files that went into it
    file: Path | None  # None: there were no rows
    damaged: tuple[Path, ...]  # left where they are
    later: tuple[Path, ...]  # with columns of a later package, left where they are


def compact(root: Path) -> Compaction:
    """Gather all readable rows of a results folder in one file, and remove their single files.

    A file that a worker replaces meanwhile stays.

    Raises:
        UserError: no results there, or another compaction is at work.
    """
    store = open_store(root)
    with alone_at_work(root, f"The results in {root} cannot be compacted"):
        return _compact(store)


@contextmanager
def alone_at_work(root: Path, failed: str) -> Iterator[None]:
    """Keep other compactions out of a results folder.

    Args:
        root: A results folder.
        failed: What a disk error means, as the beginning of a sentence.

    Raises:
        UserError: another one is at work, or the disk fails.
    """
    try:
        with locked(root / ".compact.lock", timeout=0):
            yield
    except Timeout as error:
        raise UserError(
            f"Another lmd-bench compact is at work in {root}; wait until it has ended."
        ) from error
    except OSError as error:
        raise file_error(failed, error) from error


def _compact(store: Store) -> Compaction:
    put_back(store.root / "trials")
    # Taken before the files are read: one that a worker replaces after that is not removed.
    marks = {path: seen for path in store.singles() if (seen := mark(path)) is not None}
    readable, later = part_later(marks)
    old, later_compacted = part_later(store.compacted())
    single, compacted = scan(readable, one_row=True), scan(old)
    later = (*later, *later_compacted)
    damaged = compacted.damaged + single.damaged
    table = in_order(newest(compacted.table, single.table)).combine_chunks()
    if table.num_rows == 0:
        return Compaction(0, 0, None, damaged, later)
    # All is in one file already.
    if single.table.num_rows == 0 and len(compacted.read) == 1:
        return Compaction(table.num_rows, 0, compacted.read[0], damaged, later)
    # Old files go after the new one is on the disk, the single ones last: `Store.scan` reads
    # single files before compacted ones, so it finds each row in one of the two.
    file = write_compacted(table, store.root)
    for path in compacted.read:
        if path != file:
            path.unlink(missing_ok=True)
    n_removed = sum(remove(path, marks[path]) for path in single.read)
    return Compaction(table.num_rows, n_removed, file, damaged, later)


def part_later(paths: Iterable[Path]) -> tuple[list[Path], tuple[Path, ...]]:
    """Part files from those with columns that this package does not know, and would lose."""
    readable: list[Path] = []
    later: list[Path] = []
    for path in paths:
        try:
            names = set(pq.read_schema(path).names)
        except (pa.ArrowException, OSError):
            # Damaged; the scan says so.
            names = set()
        (later if names - set(COLUMNS.names) else readable).append(path)
    return readable, tuple(later)


def write_compacted(table: pa.Table, root: Path) -> Path:
    """Write rows under the hash of the file's bytes, and make sure that they can be read.

    Raises:
        UserError: they cannot.
    """
    folder = root / "compacted"
    folder.mkdir(exist_ok=True)

    def write(temporary: Path) -> bool:
        pq.write_table(table, temporary, row_group_size=_ROW_GROUP, **_LAYOUT)
        back = read_table(temporary)
        return back is not None and back["key"] == table["key"]

    return write_by_hash(folder, write)


def write_by_hash(folder: Path, write: Callable[[Path], bool]) -> Path:
    """Write a file under the hash of its bytes, or none at all.

    Args:
        folder: Where it comes to lie.
        write: Writes it under the name that it is given, and says whether it reads back.

    Raises:
        UserError: it does not.
    """
    temporary = temporary_name(folder / "rows.parquet")
    try:
        if not write(temporary):
            raise UserError(
                f"What was written to {folder} cannot be read back, so no single file was removed; "
                "the disk may be failing."
            )
        with temporary.open("rb") as written:
            digest = hashlib.file_digest(written, "sha256").hexdigest()[:20]
        publish(temporary, final := folder / f"{digest}.parquet")
    finally:
        # A full disk must not fill further.
        temporary.unlink(missing_ok=True)
    return final


def remove(path: Path, seen: Mark) -> bool:
    """Remove a file unless it is another one by now; return whether it was removed.

    It is renamed first: what a worker puts in its place between the look and the removal is then
    seen, and put back.
    """
    if mark(path) != seen:
        return False
    aside = path.with_name(f".{path.name}{_ASIDE}")
    try:
        os.replace(path, aside)
    except FileNotFoundError:
        return False
    if mark(aside) == seen:
        aside.unlink()
        return True
    _restore(aside)
    return False


def put_back(folder: Path) -> None:
    """Give the files back their names that a killed compaction was removing."""
    for aside in folder.glob(f".*.parquet{_ASIDE}"):
        _restore(aside)


def _restore(aside: Path) -> None:
    path = aside.with_name(aside.name.removeprefix(".").removesuffix(_ASIDE))
    # A link fails where a worker wrote a still newer one meanwhile; a rename would replace it.
    with suppress(FileExistsError):
        os.link(aside, path)
    aside.unlink()


def mark(path: Path) -> Mark | None:
    """Return what tells a file from one that takes its place; None where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
