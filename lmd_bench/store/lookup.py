"""Finds the row that a person names by the beginning of its key."""

from lmd_bench.core.errors import UserError
from lmd_bench.store.rows import Row
from lmd_bench.store.store import Store

_LISTED = 8  # candidates; a key has 20 digits, so more of it tells them apart


def find_row(store: Store, prefix: str) -> Row:
    """Return the row whose key begins with `prefix`.

    Raises:
        UserError: no key begins so, or several do.
    """
    table = store.scan(("key", "method", "phase", "seed")).table
    found = sorted(
        (row for row in table.to_pylist() if row["key"].startswith(prefix)),
        key=lambda row: row["key"],
    )
    if not found:
        raise UserError(
            f"No row in {store.root} has a key that begins with '{prefix}'; the keys are in the "
            "column selected_key of lmd-bench leaderboard --format csv, and name the files in "
            "trials."
        )
    if len(found) > 1 and found[0]["key"] != prefix:
        listed = [f"{row['key']} ({_described(row)})" for row in found[:_LISTED]]
        listed += [f"{len(found) - _LISTED} more"] if len(found) > _LISTED else []
        raise UserError(
            f"{len(found)} keys begin with '{prefix}'; give more of one: {', '.join(listed)}."
        )
    row = store.get(found[0]["key"])
    if row is None:
        raise UserError(
            f"The row {found[0]['key']} can be read in part only; run the same search again to "
            "redo it."
        )
    return row


def _described(row: Row) -> str:
    return f"{row['method']}, {row['phase']}, seed {row['seed']}"
