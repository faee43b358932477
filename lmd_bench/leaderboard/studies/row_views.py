"""Rows as the leaderboard reads them: views into columns, so that no row is ever put together.

A column turns into Python values when it is first asked for, and a list in a column when a row is
asked for it; making a dict of each of 100,000 rows would take seconds.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int64


class RowView(Mapping[str, Any]):
    """One row of a table; reads like the dict of that row."""

    __slots__ = ("_columns", "_number")

    def __init__(self, columns: "_Columns", number: int) -> None:
        """Look at row `number` of some columns."""
        self._columns = columns
        self._number = number

    def __getitem__(self, name: str) -> Any:
        return self._columns[name][self._number]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns.names)

    def __len__(self) -> int:
        return len(self._columns.names)


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
