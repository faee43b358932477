"""The rows of a results folder as a selection rule needs them."""

from pathlib import Path
from typing import Any

from lmd_bench.errors import UserError
from lmd_bench.leaderboard.select import SelectionRule
from lmd_bench.leaderboard.val_counts import with_val_counts
from lmd_bench.results import Store, open_store


def read_rows(root: Path, rule: SelectionRule) -> tuple[Store, list[dict[str, Any]]]:
    """Return the store of a folder and all its rows that can be read.

    Raises:
        UserError: no results there, or none that can be read.
    """
    store = open_store(root)
    rows = store.rows()
    if not rows:
        raise UserError(
            f"There are no rows in {root} that can be read; run lmd-bench search first, or name "
            "another folder with --results."
        )
    return store, with_val_counts(store, rows) if rule.needs_val_counts else rows
