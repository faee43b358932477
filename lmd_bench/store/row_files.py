"""Parquet files of rows: written so that they are whole or absent, read many at once.

A single file holds one row, a compacted file many. Both are read into one table whose columns are
`COLUMNS`; a file that is cut off, altered or not of this schema is damaged, and named.
"""

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Int64

from lmd_bench.core.errors import BrokenPlaceError
from lmd_bench.core.files import patiently, whole_file
from lmd_bench.store.columns import COLUMNS

ORDER = ("study", "phase", "trial_number", "seed", "key")  # of the rows of a store
_ALWAYS = ("key", "finished_at")  # read whatever is asked for: they tell which row is the newest
_SMALL = 2**20  # bytes; up to here a file is read at one go, which is twice as fast
_BLOCK = 64  # files that a thread reads at one go
# One row needs no dictionaries and no statistics: without them its file is 2.6 times smaller and is
# read a third faster.
ONE_ROW: dict[str, Any] = {
    "use_dictionary": False,
    "write_statistics": False,
    "store_schema": False,
}


@dataclass(frozen=True)
class Scan:
    """What was read of some files."""

    table: pa.Table
    read: tuple[Path, ...]  # files whose rows are in the table
    damaged: tuple[Path, ...]
    gone: tuple[Path, ...]  # listed, but no longer there when they were read


def write_table(
    table: pa.Table, final: Path, footer: Mapping[str, str] | None = None, **layout: Any
) -> None:
    """Write a Parquet file with page checksums, as a whole or not at all.

    Args:
        table: What to write.
        final: Its name.
        footer: Texts to put into its footer.
        layout: Options of `pyarrow.parquet.ParquetWriter`.
    """
    options: dict[str, Any] = {"write_page_checksum": True, **layout}
    with (
        whole_file(final) as temporary,
        pq.ParquetWriter(temporary, table.schema, **options) as writer,
    ):
        writer.write_table(table)
        writer.add_key_value_metadata(dict(footer or {}))


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table | None:
    """Return a table, its pages checked; None where it is cut off, altered or gone.

    A column that the file lacks is left out.

    Raises:
        BrokenPlaceError: its bytes cannot be had now, which says nothing of whether they are whole.
    """
    chosen = None if columns is None else list(columns)

    def read() -> pa.Table:
        small = path.stat().st_size <= _SMALL
        source = pa.BufferReader(path.read_bytes()) if small else path
        with pq.ParquetFile(source, page_checksum_verification=True, pre_buffer=not small) as file:
            return file.read(columns=chosen, use_threads=not small)

    try:
        return patiently(read)
    # A footer whose texts are no texts is damage, too.
    except (FileNotFoundError, pa.ArrowException, UnicodeDecodeError):
        return None
    except OSError as error:
        if is_damage(error):
            return None
        raise unreadable(path, error) from error


def is_damage(error: OSError) -> bool:
    """Say whether an error is of a file's bytes: Arrow's own has no number of the system's."""
    return error.errno is None


def unreadable(path: Path, error: OSError) -> BrokenPlaceError:
    """Return the error of a row file that is there and cannot be read now."""
    return BrokenPlaceError(
        f"{path} cannot be read now ({error.strerror or error}). To take it for lost would run its "
        "trial again; mend the disk, the rights or the limit of open files, then the same command "
        "goes on."
    )


def scan(
    paths: Sequence[Path], columns: Sequence[str] | None = None, *, one_row: bool = False
) -> Scan:
    """Read the rows of files, by threads, each file once.

    Args:
        paths: Parquet files.
        columns: Those to read, beside `key` and `finished_at`; None: all. Damage in a column that
            is not read is not seen.
        one_row: Whether each file must hold exactly one row.

    Returns:
        the rows in the order of the files. A column that a file lacks, because an earlier package
        wrote it, is null; one that is not in `COLUMNS` is not read.
    """
    schema = schema_of(columns)
    tables: list[tuple[Path, pa.Table | None]] = []
    blocks = [paths[first : first + _BLOCK] for first in range(0, len(paths), _BLOCK)]
    with ThreadPoolExecutor(2) as threads:
        for block in threads.map(
            lambda block: [read_table(p, schema.names) for p in block], blocks
        ):
            tables += zip(paths[len(tables) :], block, strict=False)
    rows_allowed = range(1, 2) if one_row else range(sys.maxsize)
    read = {path: t for path, t in tables if t is not None and t.num_rows in rows_allowed}
    whole = _joined(read.values(), schema)
    # Looked at together first, which is fast; a file of another schema is rare.
    if whole is None:
        conformed = {path: _conform(table, schema) for path, table in read.items()}
        read = {path: table for path, table in conformed.items() if table is not None}
        whole = pa.concat_tables([schema.empty_table(), *read.values()])
    # What cannot be read and is gone was compacted or replaced meanwhile; it is not damaged.
    failed = {path: path.exists() for path in paths if path not in read}
    return Scan(
        whole.combine_chunks(),
        tuple(read),
        tuple(path for path, exists in failed.items() if exists),
        tuple(path for path, exists in failed.items() if not exists),
    )


def row_of(key: str, listing: Callable[[], Sequence[Path]]) -> pa.Table:
    """Return the rows of a key in the compacted files that `listing` finds: none, or one each.

    A compaction may replace a file between its listing and its reading; then they are listed anew.
    """
    listed = listing()
    rows = [_row_in(path, key) for path in listed]
    while any(row is None for row in rows) and listed != (listed := listing()):
        rows = [_row_in(path, key) for path in listed]
    return pa.concat_tables([COLUMNS.empty_table(), *(row for row in rows if row is not None)])


def schema_of(columns: Sequence[str] | None) -> pa.Schema:
    """Return the schema of some columns, in the order of `COLUMNS`, and of those always read."""
    wanted = set(COLUMNS.names if columns is None else (*columns, *_ALWAYS))
    return pa.schema([field for field in COLUMNS if field.name in wanted])


def newest(compacted: pa.Table, single: pa.Table) -> pa.Table:
    """Return one row for each key: a single file's, else of several the one that finished last.

    A row is in both where a compaction was killed, or where a trial ran again after one. Either way
    the single file is the later one, whatever the clocks of two machines say.
    """
    both = pa.concat_tables([compacted, single])
    if both.num_rows == len(both["key"].unique()):
        return both
    place = np.arange(both.num_rows)
    frame = both.select(["key", "finished_at"]).to_pandas()
    frame = frame.assign(place=place, single=place >= compacted.num_rows)
    order = ["single", "finished_at", "place"]
    last = frame.sort_values(order).drop_duplicates("key", keep="last")
    return both.take(pa.array(np.sort(last["place"].to_numpy())))


def ordered(table: pa.Table) -> Int64[np.ndarray, " rows"]:
    """Return the numbers of the rows in the order of study, phase, trial number, seed and key."""
    order = [(name, "ascending") for name in ORDER]
    numbers = pc.call_function("sort_indices", [table], pc.SortOptions(order))
    return np.asarray(numbers).astype(np.int64)


def in_order(table: pa.Table) -> pa.Table:
    """Return the rows in that order."""
    return table.take(pa.array(ordered(table)))


def _joined(tables: Collection[pa.Table], schema: pa.Schema) -> pa.Table | None:
    """Return tables of equal columns as one of a schema; None where a single one hinders that."""
    try:
        return _conform(pa.concat_tables(tables), schema) if tables else schema.empty_table()
    except pa.ArrowException:
        # Their columns differ; the caller takes them one by one.
        return None


def _conform(table: pa.Table, schema: pa.Schema) -> pa.Table | None:
    """Return a table in the columns of a schema; None where it has not what they must hold."""
    if table.schema.equals(schema):
        return table
    for field in schema:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    try:
        return table.select(schema.names).cast(schema)
    except (pa.ArrowException, ValueError):
        # A column of another type, or null where it may not be.
        return None


def _row_in(path: Path, key: str) -> pa.Table | None:
    """Return the row of a key in a compacted file, or an empty table; None where it is gone."""

    def read() -> pa.Table:
        number = _numbers(path, path.stat().st_mtime_ns).get(key)
        if number is None:
            return COLUMNS.empty_table()
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
            ends = np.cumsum(sizes)
            group = int(np.searchsorted(ends, number, side="right"))
            return file.read_row_group(group).slice(number - (ends[group] - sizes[group]), 1)

    try:
        table = patiently(read)
    except FileNotFoundError:
        return None
    except pa.ArrowException:
        # Damaged: the key counts as missing, so its trial runs again.
        return COLUMNS.empty_table()
    except OSError as error:
        if is_damage(error):
            return COLUMNS.empty_table()
        raise unreadable(path, error) from error
    row = _conform(table, COLUMNS)
    return COLUMNS.empty_table() if row is None else row


@lru_cache(maxsize=8)
def _numbers(path: Path, changed: int) -> dict[str, int]:
    """Return the number of each key's row in a compacted file; it never changes under its name."""
    keys = scan([path], ["key"]).table["key"].to_pylist()
    return {key: number for number, key in enumerate(keys)}
