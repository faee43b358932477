"""Several results folders, read as one; nothing is written to any of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import TrialRow
from lmd_bench.store.differences import differences
from lmd_bench.store.store import Store


@dataclass(frozen=True)
class StoresTogether(Store):
    """The rows and logits of a folder and of others; of a trial that several hold, the first's.

    What else a store tells (`scan`, `get`, `find`, `damaged`) is of the first folder alone.
    """

    others: tuple[Store, ...] = ()

    @property
    def folders(self) -> tuple[Path, ...]:
        """Return the folders that are read, the first first."""
        return (self.root, *(store.root for store in self.others))

    def rows(self, study: str | None = None) -> list[TrialRow]:
        """Return all rows, or those of a study.

        Raises:
            UserError: a trial came out otherwise in another folder.
        """
        found = {row["key"]: row for row in super().rows(study)}
        for store in self.others:
            for row in store.rows(study):
                there = found.setdefault(row["key"], row)
                if there is not row and differences(there, row):
                    raise UserError(
                        f"The trial {row['key'][:12]} has another outcome in {store.root} than in "
                        "a folder before it; lmd-bench merge joins them and says what differs."
                    )
        return list(found.values())

    def logits_table(self, key: str, columns: Sequence[str] | None = None) -> pa.Table | None:
        """Return the logits of a trial from the first folder that keeps them; None: none does.

        Raises:
            UserError: the file is damaged.
        """
        table = super().logits_table(key, columns)
        for store in self.others:
            table = store.logits_table(key, columns) if table is None else table
        return table
