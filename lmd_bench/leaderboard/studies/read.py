"""The rows of a results folder as a selection rule needs them; ablations' cells are left out."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import OF_A_STUDY, Row
from lmd_bench.leaderboard.studies.group import (
    FACTOR_RANGE,
    STUDY_COLUMNS,
    ablated_studies,
    left_out,
)
from lmd_bench.leaderboard.studies.rules import SelectionRule
from lmd_bench.store.from_logits import with_val_counts
from lmd_bench.store.row_files import Scan, ordered
from lmd_bench.store.store import Store, open_store
from lmd_bench.store.together import StoresTogether

Groups = Sequence[Sequence[Row]]  # the rows of each study


class RowView(Mapping[str, Any]):
    """One row of a table; reads like the dict of that row."""

    __slots__ = ("_columns", "_number")

    def __init__(self, columns: "_Columns", number: int) -> None:
        """Look at row `number` of some columns."""
        self._columns = columns
        self._number = number

    def __getitem__(self, name: str) -> Any:
        return self._columns[name][self._number]

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value; `default` where that column was not read."""
        return self._columns[key][self._number] if key in self._columns.names else default

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns.names)

    def __len__(self) -> int:
        return len(self._columns.names)


def read_rows(
    root: str | Path, rule: SelectionRule, also: Sequence[str | Path] = ()
) -> tuple[Store, Sequence[Row]]:
    """Return the store of a folder and the rows of it that can be read, no ablation's cells.

    Args:
        root: A results folder.
        rule: What selects the configuration of each study.
        also: Other folders, whose rows and logits are read with it.

    Raises:
        UserError: no results in one of them, none that can be read, or two outcomes of a trial.
    """
    roots = [Path(root), *map(Path, also)]
    first, *others = map(open_folder, roots)
    store = StoresTogether(first.root, tuple(others)) if others else first
    cells = {study for folder in roots for study in ablated_studies(folder)}
    rows = [row for row in store.rows() if row["study"] not in cells]
    if not rows:
        raise UserError(
            f"There are no rows in {' or '.join(map(str, roots))} that can be read; run lmd-bench "
            "search first, or name another folder with --results."
        )
    return store, with_val_counts(store, rows) if rule.needs_val_counts else rows


def read_grouped(
    root: str | Path, rule: SelectionRule, columns: Sequence[str]
) -> tuple[Store, Groups, Sequence[Row], tuple[str, ...]]:
    """Return the store of a folder, the rows of each study, and notes on what is left out.

    Third come the rows of studies over a range of imbalance factors, which are of no one task.

    Args:
        root: Folder of the results.
        rule: What will select the configuration of each study.
        columns: Those to read; those that group rows must be among them.

    Raises:
        UserError: no results there, none that can be read, or those of another version.
    """
    root = Path(root)
    store = open_folder(root)
    scan = store.scan(tuple(dict.fromkeys((*columns, FACTOR_RANGE))))
    if not scan.table.num_rows:
        names = _names(scan.damaged, root)
        broken = f" but files that cannot be read ({names})" if scan.damaged else ""
        raise UserError(
            f"There are no rows in {root}{broken}; run lmd-bench search first, or name another "
            "folder with --results."
        )
    all_groups, cells = _of_studies(scan), ablated_studies(root)
    groups = [rows for rows in all_groups if rows[0]["study"] not in cells] if cells else all_groups
    notes = unreadable(scan.damaged, root)
    if cells:
        notes += left_out(cells, frozenset(rows[0]["study"] for rows in all_groups))
    if rule.needs_val_counts:
        groups = [with_val_counts(store, rows) for rows in groups]
    return store, groups, _over_range(scan), notes


def open_folder(root: str | Path) -> Store:
    """Return the store of a folder; where it has none, name the folders in it that have.

    Raises:
        UserError: no results there, or those of another version.
    """
    root = Path(root)
    try:
        return open_store(root)
    except UserError:
        inside = sorted(marker.parent for marker in root.glob("*/store.json"))
        inside += sorted(marker.parent for marker in root.glob("*/*/store.json"))
        if (root / "store.json").exists() or not inside:
            raise
        names = ", ".join(path.as_posix() for path in inside)
        raise UserError(f"{root} holds no results; these folders in it do: {names}.") from None


def unreadable(damaged: Sequence[Path], root: Path) -> tuple[str, ...]:
    """Return the note on files of a results folder that cannot be read; none for none."""
    note = (
        f"left out, cannot be read: {_names(damaged, root)}; run the same search again to redo it"
    )
    return (note,) if damaged else ()


def grouped_views(
    table: pa.Table, by: Sequence[str], numbers: Int64[np.ndarray, " rows"]
) -> Iterator[list[RowView]]:
    """Yield the views of each group: rows of the table with equal values in the columns `by`.

    Args:
        table: All columns that will be read.
        by: Columns of numbers or texts.
        numbers: Of the rows to group. Groups come in the order of their first rows in it, and the
            rows of a group in its order.
    """
    columns = _Columns(table)
    codes = _codes(table, by)[numbers]
    _, first, group_of = np.unique(codes, return_index=True, return_inverse=True)
    arranged = np.argsort(first[group_of], kind="stable")
    ends = np.flatnonzero(np.diff(first[group_of][arranged])) + 1
    for rows in np.split(numbers[arranged], ends) if len(numbers) else ():
        yield [RowView(columns, number) for number in rows.tolist()]


def _of_studies(scan: Scan) -> Groups:
    numbers = ordered(scan.table)
    kept = np.isin(np.asarray(scan.table["phase"]).astype(str)[numbers], OF_A_STUDY)
    # Those over a range of factors are of no one task.
    kept &= np.asarray(scan.table[FACTOR_RANGE].is_null())[numbers]
    return list(grouped_views(scan.table, STUDY_COLUMNS, numbers[kept]))


def _over_range(scan: Scan) -> Sequence[Row]:
    ranged = ~np.asarray(scan.table[FACTOR_RANGE].is_null())
    numbers = ordered(scan.table)
    columns = _Columns(scan.table)
    return [RowView(columns, number) for number in numbers[ranged[numbers]].tolist()]


def _names(paths: Sequence[Path], root: Path) -> str:
    return ", ".join(path.relative_to(root).as_posix() for path in paths)


def _codes(table: pa.Table, by: Sequence[str]) -> Int64[np.ndarray, " rows"]:
    """Return a number for each row, equal where the columns `by` are."""
    combined = np.zeros(table.num_rows, dtype=np.int64)
    for name in by:
        coded = table[name].combine_chunks().dictionary_encode()
        values = np.asarray(coded.indices.fill_null(len(coded.dictionary)))
        _, combined = np.unique(
            combined * (len(coded.dictionary) + 1) + values, return_inverse=True
        )
    return combined


class _Columns(dict[str, Sequence[Any]]):
    """The values of each column by its name, made when first asked for."""

    def __init__(self, table: pa.Table) -> None:
        super().__init__()
        self.names: list[str] = table.column_names
        self._table = table

    def __missing__(self, name: str) -> Sequence[Any]:
        assert name in self.names, f"column {name} was not read; add it to those that are"
        self[name] = values = _values(self._table[name])
        return values


class _Lists(Sequence[Any]):
    """The lists of a nested column, each made when it is asked for."""

    def __init__(self, column: pa.Array) -> None:
        self._column = column

    def __getitem__(self, number: Any) -> Any:
        return self._column[number].as_py()

    def __len__(self) -> int:
        return len(self._column)


def _values(column: pa.ChunkedArray) -> Sequence[Any]:
    """Return the values of a column: null as None, NaN as NaN."""
    if pa.types.is_nested(column.type):
        return _Lists(pa.concat_arrays(column.chunks) if column.num_chunks else column)
    if pa.types.is_string(column.type):
        return _texts(column)
    values = column.to_numpy().tolist()
    if column.null_count:
        kind = int if pa.types.is_integer(column.type) else float
        nulls = np.asarray(column.is_null())
        return [None if n else kind(v) for v, n in zip(values, nulls, strict=True)]
    return values


def _texts(column: pa.ChunkedArray) -> list[str | None]:
    coded = column.combine_chunks().dictionary_encode()
    words = np.array([*coded.dictionary.to_pylist(), None], dtype=object)
    return words[np.asarray(coded.indices.fill_null(-1))].tolist()
