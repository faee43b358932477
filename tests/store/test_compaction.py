"""Compaction loses no row, whenever it is killed and whoever writes meanwhile."""

import hashlib
import multiprocessing
import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filelock import FileLock

from lmd_bench.cli import app
from lmd_bench.core.errors import UserError
from lmd_bench.store import compaction
from lmd_bench.store.compaction import compact
from lmd_bench.store.store import Store, open_store
from tests.store.test_results import POINT, a_row, make_spec, path_of

EARLY, LATE = "2025-01-01T00:00:02+00:00", "2025-01-02T00:00:00+00:00"


class KilledError(BaseException):
    """Stands for kill -9: nothing that comes after it runs."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "runs", create=True)


def fill(store: Store, n_rows: int = 6) -> list[dict[str, Any]]:
    rows = [
        a_row(seed, curve=[POINT], val_recall=[0.5, float(seed)], class_counts=[9, 1])
        for seed in range(n_rows)
    ]
    for row in rows:
        store.write(row)
    return rows


def test_rows_read_the_same_from_one_file_as_from_many(store: Store) -> None:
    rows = fill(store)
    frame = store.frame()

    done = compact(store.root)

    assert (done.n_rows, done.n_gathered, done.damaged) == (6, 6, ())
    assert store.singles() == []
    assert store.compacted() == [done.file]
    assert store.rows() == rows
    assert store.rows("toy/crt") == rows
    assert [store.get(row["key"]) for row in rows] == rows
    assert not store.has("nothing")
    assert store.frame().equals(frame)


def test_null_and_nan_stay_apart(store: Store) -> None:
    store.write(a_row(val_few_recall=float("nan")))
    compact(store.root)
    (row,) = store.rows()
    assert row["val_few_recall"] != row["val_few_recall"]
    assert row["test_few_recall"] is None


def test_new_rows_join_what_is_gathered_and_a_second_time_changes_nothing(store: Store) -> None:
    first = fill(store, 3)
    compact(store.root)
    store.write(a_row(7))
    assert len(store.rows()) == 4

    done = compact(store.root)

    assert (done.n_rows, done.n_gathered) == (4, 1)
    assert store.compacted() == [done.file]
    assert store.rows() == [*first, a_row(7)]
    assert compact(store.root).file == done.file


def test_the_row_of_a_single_file_counts_whatever_the_clocks_say(store: Store) -> None:
    store.write(a_row(seconds=1.0, finished_at=EARLY))
    compact(store.root)
    for seconds, finished_at, expected in ((2.0, EARLY, 2.0), (3.0, LATE, 3.0), (4.0, EARLY, 4.0)):
        store.write(a_row(seconds=seconds, finished_at=finished_at))
        assert [row["seconds"] for row in store.rows()] == [expected]
        assert store.get(make_spec().key)["seconds"] == expected
    store.write(a_row(seconds=3.0, finished_at=LATE))
    compact(store.root)
    store.write(a_row(seconds=4.0, finished_at=EARLY))
    assert store.get(make_spec().key)["seconds"] == 4.0
    assert [row["seconds"] for row in store.rows()] == [4.0]
    compact(store.root)
    assert [row["seconds"] for row in store.rows()] == [4.0]
    assert store.singles() == []


def test_damaged_files_stay_and_are_reported(store: Store, capsys) -> None:
    rows = fill(store, 3)
    path_of(store, rows[1]).write_bytes(b"PAR1")

    done = compact(store.root)

    assert done.damaged == (path_of(store, rows[1]),)
    assert path_of(store, rows[1]).read_bytes() == b"PAR1"
    assert store.rows() == [rows[0], rows[2]]
    app(["compact", "--results", str(store.root)], standalone_mode=False)
    assert f"cannot be read: trials/{rows[1]['key']}.parquet" in capsys.readouterr().out


def test_a_damaged_compacted_file_stays_and_its_rows_count_as_missing(store: Store) -> None:
    rows = fill(store, 2)
    done = compact(store.root)
    assert done.file is not None
    done.file.write_bytes(done.file.read_bytes()[:100])
    store.write(rows[0])

    assert store.rows() == [rows[0]]
    assert store.damaged() == [done.file]
    assert not store.has(rows[1]["key"])
    assert compact(store.root).damaged == (done.file,)
    assert done.file.exists()
    assert store.rows() == [rows[0]]


def test_a_file_with_a_column_of_a_later_package_keeps_it(store: Store) -> None:
    rows = fill(store, 2)
    path = path_of(store, rows[0])
    pq.write_table(pq.read_table(path).append_column("later", [["x"]]), path)

    done = compact(store.root)

    assert done.later == (path,)
    assert pq.read_table(path)["later"].to_pylist() == ["x"]
    assert store.rows() == rows


@pytest.mark.parametrize("moment", range(1, 12))
def test_killed_at_any_moment_no_row_is_lost_and_the_next_one_ends_it(
    store: Store, moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = fill(store, 2)
    compact(store.root)
    rows.append(a_row(5))
    store.write(rows[-1])
    store.write(a_row(6))
    rows.append(a_row(6))
    calls = 0

    def counted(function):
        def call(*arguments, **options):
            nonlocal calls
            calls += 1
            if calls >= moment:  # nothing runs after a kill, clean-up included
                raise KilledError
            return function(*arguments, **options)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", counted(os.replace))
        patch.setattr(os, "fsync", counted(os.fsync))
        patch.setattr(os, "link", counted(os.link))
        patch.setattr(Path, "unlink", counted(Path.unlink))
        killed = False
        try:
            compact(store.root)
        except KilledError:
            killed = True
    assert killed == (moment <= 9)  # the file's name, its clean-up, old file, two single ones

    assert store.rows() == rows
    assert [store.get(row["key"]) for row in rows] == rows
    compact(store.root)
    assert store.rows() == rows
    assert store.singles() == []
    assert len(store.compacted()) == 1


def test_a_row_written_just_before_its_file_is_removed_is_kept(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, 2)
    newer = a_row(0, seconds=9.0, finished_at=LATE)
    replace = os.replace

    def late(source, target):  # the worker comes between the look and the rename
        if str(target).endswith(".compacted") and newer["key"] in str(target):
            monkeypatch.setattr(os, "replace", replace)
            store.write(newer)
        replace(source, target)

    monkeypatch.setattr(os, "replace", late)
    compact(store.root)

    assert store.get(newer["key"]) == newer
    assert [path.stem for path in store.singles()] == [newer["key"]]


def write_often(root: Path, n_times: int) -> None:
    store = open_store(root)
    for time in range(n_times):
        for seed in range(5):
            finished_at = f"2025-01-01T00:{time // 60:02d}:{time % 60:02d}+00:00"
            store.write(a_row(seed, seconds=float(time), finished_at=finished_at))


def test_a_worker_may_write_all_the_while(store: Store) -> None:
    worker = multiprocessing.get_context("spawn").Process(target=write_often, args=(store.root, 25))
    worker.start()
    seen = 0
    while worker.is_alive():
        compact(store.root)
        n_rows = len(store.rows())
        assert n_rows >= seen, "a row was not to be seen while it was moved"
        seen = n_rows
    worker.join()

    assert [row["seconds"] for row in store.rows()] == [24.0] * 5
    compact(store.root)
    assert [row["seconds"] for row in store.rows()] == [24.0] * 5
    assert store.damaged() == []


def test_two_compactions_at_once_are_refused(store: Store) -> None:
    fill(store, 1)
    with FileLock(store.root / ".compact.lock"), pytest.raises(UserError, match="Another lmd-be"):
        compact(store.root)


def test_a_reader_lists_again_when_a_compaction_replaced_what_it_listed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = fill(store, 2)
    first = compact(store.root).file
    listing = Store.compacted
    stale = iter([[Path(str(first) + ".gone.parquet")]])
    monkeypatch.setattr(Store, "compacted", lambda store: next(stale, None) or listing(store))

    assert store.rows() == rows
    stale = iter([[Path(str(first) + ".gone.parquet")]])
    assert store.get(rows[0]["key"]) == rows[0]


def test_a_single_row_is_found_in_any_row_group(store: Store, monkeypatch) -> None:
    monkeypatch.setattr(compaction, "_ROW_GROUP", 2)
    rows = fill(store, 5)
    done = compact(store.root)
    assert pq.read_metadata(done.file).num_row_groups == 3
    assert [store.get(row["key"]) for row in rows] == rows


def test_what_cannot_be_read_back_removes_nothing(store: Store, monkeypatch) -> None:
    rows = fill(store, 2)
    monkeypatch.setattr(compaction, "read_table", lambda path: None)
    with pytest.raises(UserError, match="no single file was removed"):
        compact(store.root)
    assert store.rows() == rows
    assert len(store.singles()) == 2
    assert store.compacted() == []


def test_an_empty_folder_has_nothing_to_gather(store: Store, capsys) -> None:
    app(["compact", "--results", str(store.root)], standalone_mode=False)
    assert "no rows to gather" in capsys.readouterr().out
    shutil.rmtree(store.root / "trials")
    assert isinstance(store.scan().table, pa.Table)


def test_several_compacted_files_become_one(store: Store) -> None:
    rows = fill(store, 2)
    first = compact(store.root).file
    assert first is not None
    kept = first.read_bytes()
    for row in (a_row(5), a_row(6)):
        store.write(row)
    second = compact(store.root).file
    first.write_bytes(kept)  # as of a compaction that was killed before it went
    assert store.rows() == [*rows, a_row(5), a_row(6)]

    done = compact(store.root)

    assert (done.n_rows, done.n_gathered, done.file) == (4, 0, second)
    assert store.compacted() == [second]
    assert store.rows() == [*rows, a_row(5), a_row(6)]


def test_what_is_in_one_file_already_is_left_as_it_is(store: Store) -> None:
    fill(store, 2)
    first = compact(store.root)
    before = first.file.stat().st_mtime_ns
    again = compact(store.root)
    assert (again.n_rows, again.n_gathered, again.file) == (2, 0, first.file)
    assert first.file.stat().st_mtime_ns == before


def test_where_no_row_can_be_read_nothing_is_written_and_damage_is_named(store: Store) -> None:
    (row,) = fill(store, 1)
    path_of(store, row).write_bytes(b"PAR1")
    done = compact(store.root)
    assert (done.n_rows, done.n_gathered, done.file) == (0, 0, None)
    assert (done.damaged, done.later) == ((path_of(store, row),), ())
    assert not (store.root / "compacted").exists()


def test_a_compacted_file_of_a_later_package_stays_beside_the_new_one(store: Store) -> None:
    rows = fill(store, 2)
    later = compact(store.root).file
    assert later is not None
    table = pq.read_table(later).append_column("later", [["x", "y"]])
    pq.write_table(table, later)
    store.write(a_row(5))
    done = compact(store.root)
    assert (done.n_rows, done.n_gathered, done.later) == (1, 1, (later,))
    assert store.compacted() == sorted([later, done.file])
    assert store.rows() == [*rows, a_row(5)]


def test_compacted_files_have_groups_of_rows(store: Store, monkeypatch) -> None:
    monkeypatch.setattr(compaction, "_ROW_GROUP", 4)
    fill(store)
    facts = pq.read_metadata(compact(store.root).file)
    assert [facts.row_group(place).num_rows for place in range(facts.num_row_groups)] == [4, 2]


def test_numbers_are_split_by_byte_but_recalls_and_curves_which_repeat(store: Store) -> None:
    fill(store)
    group = pq.read_metadata(compact(store.root).file).row_group(0)
    columns = [group.column(place) for place in range(group.num_columns)]
    split = {column.path_in_schema for column in columns if "BYTE_STREAM_SPLIT" in column.encodings}
    floats = {column.path_in_schema for column in columns if column.physical_type == "DOUBLE"}
    recalls = {path for path in floats if "_recall" in path}
    curves = {path for path in floats if path.startswith("curve.")}
    assert split == floats - recalls - curves
    assert {"seconds", "val_nll"} <= split
    assert {path.rsplit(".")[-1] for path in curves} == {"loss", "val_balanced_accuracy"}
    assert {"val_recall.list.element", "test_few_recall"} <= recalls
    for column in columns:
        assert column.compression == "BROTLI"
        if column.path_in_schema in recalls | curves:
            assert ("RLE_DICTIONARY" in column.encodings) == (column.path_in_schema in recalls)


def test_a_file_is_named_by_the_hash_of_its_bytes(tmp_path: Path) -> None:
    def write(temporary: Path) -> bool:
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".")
        temporary.write_bytes(b"some rows")
        return True

    file = compaction.write_by_hash(tmp_path, write)
    digest = hashlib.sha256(b"some rows").hexdigest()[:20]
    assert file == tmp_path / f"{digest}.parquet"
    assert list(tmp_path.iterdir()) == [file]
    assert compaction.write_by_hash(tmp_path, write) == file


def test_a_file_that_cannot_be_written_or_read_back_leaves_nothing_behind(tmp_path: Path) -> None:
    def full(temporary: Path) -> bool:
        temporary.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        compaction.write_by_hash(tmp_path, full)
    with pytest.raises(UserError, match=f"written to {tmp_path} cannot be read back, so no single"):
        compaction.write_by_hash(tmp_path, lambda temporary: temporary.write_bytes(b"x") > 9)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_removed_unless_it_is_another_by_now(tmp_path: Path) -> None:
    path = tmp_path / "row.parquet"
    path.write_bytes(b"old")
    seen = compaction.mark(path)
    path.unlink()
    assert not compaction.remove(path, seen)
    path.write_bytes(b"newer")
    assert not compaction.remove(path, seen)
    assert path.read_bytes() == b"newer"
    assert compaction.remove(path, compaction.mark(path))
    assert list(tmp_path.iterdir()) == []
    assert compaction.mark(path) is None


@pytest.mark.parametrize("newest", [False, True])
def test_what_took_the_place_of_a_file_that_was_being_removed_is_kept(
    tmp_path: Path, monkeypatch, newest: bool
) -> None:
    path = tmp_path / "row.parquet"
    path.write_bytes(b"old")
    seen = compaction.mark(path)
    replace = os.replace

    def late(source: Path, target: Path) -> None:
        path.write_bytes(b"newer")
        replace(source, target)
        if newest:
            path.write_bytes(b"the newest")

    monkeypatch.setattr(os, "replace", late)
    assert not compaction.remove(path, seen)
    assert path.read_bytes() == (b"the newest" if newest else b"newer")
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_goes_while_it_is_removed_was_not_removed(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "row.parquet"
    path.write_bytes(b"old")
    seen = compaction.mark(path)

    def gone(source: Path, target: Path) -> None:
        raise FileNotFoundError(source)

    monkeypatch.setattr(os, "replace", gone)
    assert not compaction.remove(path, seen)


def test_files_that_were_being_removed_get_their_names_back(tmp_path: Path) -> None:
    for name in (".a.parquet.compacted", ".b.parquet.compacted", ".c.parquet.tmp", "d.parquet"):
        (tmp_path / name).write_text(name)
    (tmp_path / "b.parquet").write_text("newer")
    compaction.put_back(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "a.parquet": ".a.parquet.compacted",
        "b.parquet": "newer",
        ".c.parquet.tmp": ".c.parquet.tmp",
        "d.parquet": "d.parquet",
    }


def test_an_error_of_the_disk_says_that_nothing_was_compacted(store: Store, monkeypatch) -> None:
    fill(store, 1)

    def full(*given: Any, **how: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compaction.pq, "write_table", full)
    said = f"The results in {store.root} cannot be compacted .*No space left on device"
    with pytest.raises(UserError, match=said):
        compact(store.root)
    assert len(store.singles()) == 1


def test_the_error_of_two_compactions_names_the_folder(store: Store) -> None:
    lock = FileLock(store.root / ".compact.lock")
    with lock, pytest.raises(UserError, match=f"is at work in {store.root}; wait"):
        compact(store.root)
