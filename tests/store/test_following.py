"""A store looked at again and again: what is shown is what a fresh read shows, each file once."""

from pathlib import Path

import pyarrow as pa
import pytest

from lmd_bench.store import following
from lmd_bench.store.compaction import compact
from lmd_bench.store.following import Follower
from lmd_bench.store.row_files import scan
from lmd_bench.store.store import Store, open_store
from tests.store.test_results import a_row

COLUMNS = ("key", "study", "status", "seconds")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(tmp_path, create=True)
    for seed in range(4):
        store.write(a_row(seed))
    return store


@pytest.fixture
def read(monkeypatch):
    """Return the names of the files that are read, in order."""
    names: list[str] = []

    def noted(paths, columns, **how):
        names.extend(path.name for path in paths)
        return scan(paths, columns, **how)

    monkeypatch.setattr(following, "scan", noted)
    return names


def fresh(store: Store) -> list:
    return sorted_rows(store.scan(COLUMNS).table)


def sorted_rows(table: pa.Table) -> list:
    return sorted(table.to_pylist(), key=lambda row: row["key"])


def test_a_second_look_reads_what_is_new_alone(store: Store, read: list[str]) -> None:
    follower = Follower(store, COLUMNS)
    assert sorted_rows(follower.table()) == fresh(store)
    assert len(read) == 4
    new = a_row(9)
    store.write(new)
    assert sorted_rows(follower.table()) == fresh(store)
    assert read[4:] == [f"{new['key']}.parquet"]
    follower.table()
    assert len(read) == 5


def test_a_row_that_is_replaced_is_read_again(store: Store) -> None:
    follower = Follower(store, COLUMNS)
    follower.table()
    changed = a_row(2, status="error", cause="it broke", seconds=77.0)
    store.write(changed)
    (row,) = (row for row in follower.table().to_pylist() if row["key"] == changed["key"])
    assert (row["status"], row["seconds"]) == ("error", 77.0)


def test_rows_stay_the_same_through_a_compaction(store: Store, read: list[str]) -> None:
    follower = Follower(store, COLUMNS)
    before = sorted_rows(follower.table())
    compact(store.root)
    store.write(a_row(9))
    assert sorted_rows(follower.table()) == fresh(store)
    assert len(fresh(store)) == len(before) + 1
    assert len(read) == 4 + 2
    assert len(follower._tables) == 2  # what is gone is forgotten


def test_a_damaged_file_is_left_out_until_it_is_whole(store: Store) -> None:
    follower = Follower(store, COLUMNS)
    row = a_row(9)
    store.trial_file(row["key"]).write_bytes(b"PAR1 cut off")
    assert len(follower.table()) == 4
    store.write(row)
    assert len(follower.table()) == 5
