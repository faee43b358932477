"""The rows of a store that grows, for whoever looks again and again: each file is read once."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

from lmd_bench.store.row_files import newest, scan, schema_of
from lmd_bench.store.store import Store

Stamp = tuple[str, int, int]  # name, time and bytes of a file: a row that is replaced has another


class Follower:
    """Some columns of all rows of a store."""

    def __init__(self, store: Store, columns: Sequence[str]) -> None:
        """Read nothing yet."""
        self._store = store
        self._columns = columns
        self._tables: dict[Stamp, pa.Table] = {}

    def table(self) -> pa.Table:
        """Return the rows as they are now, each key once; damaged files are left out.

        Raises:
            BrokenPlaceError: a file that is there cannot be read now.
        """
        # As in a store: a row leaves its single file after it is in a compacted one.
        single = self._read(self._store.singles(), one_row=True)
        compacted = self._read(self._store.compacted(), one_row=False)
        seen = {*single, *compacted}
        self._tables = {stamp: table for stamp, table in self._tables.items() if stamp in seen}
        return newest(self._joined(compacted), self._joined(single))

    def _read(self, paths: Sequence[Path], *, one_row: bool) -> list[Stamp]:
        stamps = {path: stamp for path in paths if (stamp := _stamp(path)) is not None}
        new = [path for path, stamp in stamps.items() if stamp not in self._tables]
        # Files of one row at one go, as the table has them in their order.
        for paths_ in [new] if one_row else [[path] for path in new]:
            found = scan(paths_, self._columns, one_row=one_row)
            for place, path in enumerate(found.read):
                table = found.table.slice(place, 1) if one_row else found.table
                self._tables[stamps[path]] = table
        return [stamp for stamp in stamps.values() if stamp in self._tables]

    def _joined(self, stamps: Sequence[Stamp]) -> pa.Table:
        empty = schema_of(self._columns).empty_table()
        return pa.concat_tables([empty, *(self._tables[stamp] for stamp in stamps)])


def _stamp(path: Path) -> Stamp | None:
    # Compacted or replaced meanwhile: the next look sees what came of it.
    with suppress(FileNotFoundError):
        facts = path.stat()
        return path.name, facts.st_mtime_ns, facts.st_size
    return None
