"""The rows of a results folder as a selection rule needs them; ablations' cells are left out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import OF_A_STUDY, Row
from lmd_bench.leaderboard.studies.ablated import ablated_studies, left_out
from lmd_bench.leaderboard.studies.group import STUDY_COLUMNS
from lmd_bench.leaderboard.studies.row_views import grouped_views
from lmd_bench.leaderboard.studies.rules import SelectionRule
from lmd_bench.store.row_files import Scan, ordered
from lmd_bench.store.store import Store, open_store
from lmd_bench.store.val_counts import with_val_counts

Groups = Sequence[Sequence[Row]]  # the rows of each study


def read_rows(root: Path, rule: SelectionRule) -> tuple[Store, list[dict[str, Any]]]:
    """Return the store of a folder and the rows of it that can be read, no ablation's cells.

    Raises:
        UserError: no results there, or none that can be read.
    """
    store = open_store(root)
    cells = ablated_studies(root)
    rows = [row for row in store.rows() if row["study"] not in cells]
    if not rows:
        raise UserError(
            f"There are no rows in {root} that can be read; run lmd-bench search first, or name "
            "another folder with --results."
        )
    return store, with_val_counts(store, rows) if rule.needs_val_counts else rows


def read_grouped(
    root: Path, rule: SelectionRule, columns: Sequence[str]
) -> tuple[Store, Groups, tuple[str, ...]]:
    """Return the store of a folder, the rows of each study, and notes on what is left out.

    Args:
        root: Folder of the results.
        rule: What will select the configuration of each study.
        columns: Those to read; those that group rows must be among them.

    Raises:
        UserError: no results there, none that can be read, or those of another version.
    """
    store = open_store(root)
    scan = store.scan(columns)
    if not scan.table.num_rows:
        names = _names(scan.damaged, root)
        broken = f" but files that cannot be read ({names})" if scan.damaged else ""
        raise UserError(
            f"There are no rows in {root}{broken}; run lmd-bench search first, or name another "
            "folder with --results."
        )
    found, cells = _of_studies(scan), ablated_studies(root)
    groups = [rows for rows in found if rows[0]["study"] not in cells] if cells else found
    notes = unreadable(scan.damaged, root)
    if cells:
        notes += left_out(cells, frozenset(rows[0]["study"] for rows in found))
    if rule.needs_val_counts:
        groups = [with_val_counts(store, rows) for rows in groups]
    return store, groups, notes


def unreadable(damaged: Sequence[Path], root: Path) -> tuple[str, ...]:
    """Return the note on files of a results folder that cannot be read; none for none."""
    note = (
        f"left out, cannot be read: {_names(damaged, root)}; run the same search again to redo it"
    )
    return (note,) if damaged else ()


def _of_studies(scan: Scan) -> Groups:
    numbers = ordered(scan.table)
    kept = np.isin(np.asarray(scan.table["phase"]).astype(str)[numbers], OF_A_STUDY)
    return list(grouped_views(scan.table, STUDY_COLUMNS, numbers[kept]))


def _names(paths: Sequence[Path], root: Path) -> str:
    return ", ".join(path.relative_to(root).as_posix() for path in paths)
