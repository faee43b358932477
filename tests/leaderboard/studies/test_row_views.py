import numpy as np
import pyarrow as pa
import pytest

from lmd_bench.leaderboard.studies.read import RowView, grouped_views

ROWS = [
    {"study": "b", "n_max": None, "score": 0.5, "seed": 2**40, "names": ["x"], "default": True},
    {"study": "a", "n_max": 3, "score": float("nan"), "seed": 1, "names": [], "default": False},
    {"study": "b", "n_max": 3, "score": None, "seed": 2, "names": ["x", "y"], "default": True},
    {"study": "b", "n_max": None, "score": 0.25, "seed": 3, "names": ["z"], "default": False},
]


def views(by: tuple[str, ...] = ("study",), numbers: tuple[int, ...] = (0, 1, 2, 3)):
    chunks = [pa.Table.from_pylist(ROWS[:1]), pa.Table.from_pylist(ROWS[1:])]
    table = pa.concat_tables(chunks, promote_options="permissive")
    return list(grouped_views(table, by, np.array(numbers, dtype=np.int64)))


def test_a_view_reads_like_the_dict_of_its_row() -> None:
    (b, a) = views()
    for view, row in zip([*b, *a], [ROWS[0], ROWS[2], ROWS[3], ROWS[1]], strict=True):
        assert isinstance(view, RowView)
        for name, value in row.items():
            found = view[name]
            assert found == value or (found != found and value != value), name
            assert type(found) is type(value)
        assert set(view) == set(row)
        assert len(view) == len(row)


def test_groups_come_in_the_order_of_the_numbers_and_null_is_a_value_of_its_own() -> None:
    groups = views(("study", "n_max"), (3, 2, 1, 0))
    assert [[view["seed"] for view in group] for group in groups] == [[3, 2**40], [2], [1]]


def test_rows_that_are_not_numbered_are_left_out() -> None:
    assert [[view["seed"] for view in group] for group in views(numbers=(1,))] == [[1]]
    assert views(numbers=()) == []


def test_a_column_that_was_not_read_is_named() -> None:
    with pytest.raises(AssertionError, match="column curve was not read"):
        views()[0][0]["curve"]
