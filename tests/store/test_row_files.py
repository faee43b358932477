"""Files of rows, read many at once: small or large, whole, damaged, gone or replaced meanwhile."""

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmd_bench.core import files
from lmd_bench.core.errors import BrokenPlaceError
from lmd_bench.store import compaction, row_files
from lmd_bench.store.columns import COLUMNS
from lmd_bench.store.compaction import compact
from lmd_bench.store.row_files import newest, read_table, row_of, scan, schema_of, write_table
from lmd_bench.store.store import Store, open_store
from tests.store.test_results import a_row

EARLY, LATE = "2025-01-01T00:00:02+00:00", "2025-01-02T00:00:00+00:00"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "runs", create=True)


@pytest.fixture(params=["small", "large"])
def read_as(request, monkeypatch) -> str:
    """Let every file count as small, which is read at one go, or as large."""
    monkeypatch.setattr(row_files, "_SMALL", 2**40 if request.param == "small" else -1)
    return request.param


def fill(store: Store, n_rows: int, **measured: Any) -> list[dict[str, Any]]:
    rows = [a_row(seed, **measured) for seed in range(n_rows)]
    for row in rows:
        store.write(row)
    return rows


def keys(table: pa.Table) -> list[str]:
    return table["key"].to_pylist()


def flip(path: Path, text: bytes) -> None:
    """Change one letter of a text in a file: its bytes are no others in number."""
    content = path.read_bytes()
    assert text in content
    path.write_bytes(content.replace(text, text[:-1] + b"?"))


def test_what_is_written_is_read_whatever_the_size_of_the_file(store, read_as) -> None:
    row = a_row(cause="some text", val_recall=[0.5, 0.25])
    store.write(row)
    (path,) = store.singles()
    assert read_table(path).cast(COLUMNS).to_pylist() == [row]
    assert read_table(path, ["seconds", "key", "no such column"]).to_pylist() == [
        {"key": row["key"], "seconds": row["seconds"]}
    ]
    assert store.rows() == [row]


def test_an_altered_byte_is_damage_whatever_the_size_of_the_file(store, read_as) -> None:
    store.write(a_row(cause="recognisable text"))
    (path,) = store.singles()
    flip(path, b"recognisable")
    assert read_table(path) is None
    assert store.damaged() == [path]


def test_a_cut_file_is_damage_whatever_the_size_of_the_file(store, read_as) -> None:
    fill(store, 1)
    (path,) = store.singles()
    os.truncate(path, path.stat().st_size - 10)
    assert read_table(path) is None
    assert store.damaged() == [path]
    path.write_bytes(b"")
    assert store.damaged() == [path]


def test_an_altered_byte_of_a_compacted_file_is_seen_by_whoever_asks_for_its_row(store) -> None:
    rows = fill(store, 2, cause="recognisable text")
    file = compact(store.root).file
    assert file is not None
    whole = file.read_bytes()
    group = pq.read_metadata(file).row_group(0)
    columns = [group.column(place) for place in range(group.num_columns)]
    (cause,) = (column for column in columns if column.path_in_schema == "cause")

    def altered(place: int) -> bool:
        """Change a byte, and say whether only the checksum of its page can tell."""
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with suppress(OSError, ValueError, pa.ArrowException):
            texts = pq.read_table(file, columns=["cause"])["cause"].to_pylist()
            return texts != ["recognisable text"] * 2
        return False

    start = cause.dictionary_page_offset
    assert any(altered(place) for place in range(start, start + cause.total_compressed_size))
    assert store.get(rows[0]["key"]) is None
    assert not store.has(rows[1]["key"])
    assert store.damaged() == [file]


def test_the_error_of_a_file_that_cannot_be_read_names_it_and_the_reason(store, read_as) -> None:
    row = a_row()
    with pytest.raises(BrokenPlaceError) as refused:
        raise row_files.unreadable(store.trial_file(row["key"]), OSError(errno.EIO, "Input/output"))
    text = str(refused.value)
    assert text.startswith(f"{store.trial_file(row['key'])} cannot be read now (Input/output). ")
    assert "goes on" in text
    assert "(odd)" in str(row_files.unreadable(Path("x"), OSError("odd")))


@pytest.mark.parametrize("n_at_once", [1, 2, 64])
def test_rows_come_in_the_order_of_their_files_however_many_are_read_at_once(
    store, monkeypatch, n_at_once: int
) -> None:
    monkeypatch.setattr(row_files, "_BLOCK", n_at_once)
    rows = fill(store, 5)
    paths = [store.trial_file(row["key"]) for row in rows][::-1]
    found = scan(paths, one_row=True)
    assert keys(found.table) == [path.stem for path in paths]
    assert (found.read, found.damaged, found.gone) == (tuple(paths), (), ())


def test_what_is_damaged_and_what_is_gone_are_told_apart(store) -> None:
    rows = fill(store, 4)
    paths = [store.trial_file(row["key"]) for row in rows]
    paths[1].write_bytes(b"PAR1")
    paths[2].unlink()
    found = scan(paths, one_row=True)
    assert keys(found.table) == [rows[0]["key"], rows[3]["key"]]
    assert found.read == (paths[0], paths[3])
    assert (found.damaged, found.gone) == ((paths[1],), (paths[2],))


@pytest.mark.parametrize("n_rows", [0, 2])
def test_a_single_file_holds_one_row_and_no_other_number(store, n_rows: int) -> None:
    (row,) = fill(store, 1)
    path = store.trial_file("f" * 20)
    write_table(pa.Table.from_pylist([a_row(7), a_row(8)][:n_rows], COLUMNS), path)
    assert store.damaged() == [path]
    assert store.rows() == [row]
    assert scan([path]).table.num_rows == n_rows  # as a compacted file it is whole
    assert scan([path]).damaged == ()


@pytest.mark.parametrize("with_another", [True, False])
def test_a_file_with_a_column_of_another_type_is_damaged_and_the_others_are_read(
    store, with_another: bool
) -> None:
    (row,) = fill(store, 1)
    path = store.trial_file("f" * 20)
    wrong = pa.Table.from_pylist([a_row(7)], COLUMNS).drop_columns("seconds")
    wrong = wrong.append_column("seconds", pa.array(["soon"]))
    write_table(wrong, path)
    if not with_another:
        store.trial_file(row["key"]).unlink()
    assert store.damaged() == [path]
    assert store.rows() == [row] * with_another


def test_a_null_where_a_column_must_have_a_value_is_damage(store) -> None:
    (row,) = fill(store, 1)
    path = store.trial_file("f" * 20)
    table = pa.Table.from_pylist([a_row(7)], COLUMNS).drop_columns("status")
    write_table(table, path)
    assert store.damaged() == [path]
    assert store.rows() == [row]


def test_a_column_of_an_earlier_package_is_null_though_other_files_have_it(store) -> None:
    old, new = fill(store, 2, peak_memory_mib=1.0)
    path = store.trial_file(old["key"])
    write_table(pq.read_table(path).drop_columns("peak_memory_mib"), path)
    assert store.damaged() == []
    assert store.rows() == [{**old, "peak_memory_mib": None}, new]


def test_columns_that_are_asked_for_come_in_the_order_of_all() -> None:
    names = schema_of(("seconds", "method")).names
    assert set(names) == {"key", "finished_at", "seconds", "method"}
    assert names == [name for name in COLUMNS.names if name in names]
    assert schema_of(None) == COLUMNS
    assert scan([], ("seconds",)).table.schema.names == schema_of(("seconds",)).names


def test_a_file_carries_the_texts_of_its_footer(tmp_path) -> None:
    table = pa.table({"a": [1]})
    write_table(table, tmp_path / "with.parquet", {"who": "me"})
    write_table(table, tmp_path / "without.parquet")
    assert pq.read_metadata(tmp_path / "with.parquet").metadata[b"who"] == b"me"
    assert b"who" not in (pq.read_metadata(tmp_path / "without.parquet").metadata or {})


def test_each_row_is_found_in_whichever_group_of_a_compacted_file_it_lies(
    store, monkeypatch
) -> None:
    monkeypatch.setattr(compaction, "_ROW_GROUP", 2)
    rows = fill(store, 5)
    file = compact(store.root).file
    assert pq.read_metadata(file).num_row_groups == 3
    assert [store.get(row["key"]) for row in rows] == rows
    assert store.get("nothing") is None


def test_a_compacted_file_that_was_replaced_is_listed_again(store) -> None:
    rows = fill(store, 2)
    file = compact(store.root).file
    gone = file.with_name("gone.parquet")
    listings = iter([[gone], [gone, file], [file], [file]])
    assert row_of(rows[0]["key"], lambda: next(listings)).to_pylist() == [rows[0]]
    assert next(listings) == [file]  # and no more often than it must be


def test_a_compacted_file_that_is_listed_and_stays_away_has_no_rows(store) -> None:
    gone = store.root / "compacted" / "gone.parquet"
    assert row_of("k", lambda: [gone]).num_rows == 0


def test_a_compacted_file_that_cannot_be_read_for_a_moment_is_no_missing_row(
    store, monkeypatch
) -> None:
    monkeypatch.setattr(files, "PAUSES", (0.0, 0.0))
    rows = fill(store, 1)
    compact(store.root)

    def refuse(*given: Any, **how: Any) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(row_files.pq, "ParquetFile", refuse)
    row_files._numbers.cache_clear()
    monkeypatch.setattr(row_files.pq, "read_table", refuse)
    with pytest.raises(BrokenPlaceError, match="Stale file handle"):
        store.get(rows[0]["key"])


def test_a_compacted_file_of_the_same_name_that_changed_is_read_anew(store) -> None:
    rows = fill(store, 2)
    file = compact(store.root).file
    assert store.get(rows[1]["key"]) == rows[1]
    changed = [a_row(1, seconds=77.0), a_row(0)]
    write_table(pa.Table.from_pylist(changed, COLUMNS), file)
    os.utime(file, ns=(1, 1))
    assert store.get(rows[1]["key"]) == changed[0]
    assert store.get(rows[0]["key"]) == changed[1]


def table_of(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), COLUMNS)


def test_of_several_compacted_rows_of_a_key_the_one_that_finished_last_counts() -> None:
    late = a_row(0, seconds=1.0, finished_at=LATE)
    early = a_row(0, seconds=2.0, finished_at=EARLY)
    other = a_row(1)
    assert newest(table_of(late, other, early), table_of()).to_pylist() == [late, other]
    # Of equal times the later file's.
    same = a_row(0, seconds=3.0, finished_at=LATE)
    assert newest(table_of(late, other, same), table_of()).to_pylist() == [other, same]


def test_a_single_row_goes_before_any_compacted_one_and_the_rest_stays_in_order() -> None:
    rows = [a_row(seed) for seed in (3, 1, 2)]
    single = a_row(1, seconds=9.0, finished_at=EARLY)
    late = a_row(1, finished_at=LATE)
    found = newest(table_of(rows[0], late, rows[2]), table_of(single)).to_pylist()
    assert found == [rows[0], rows[2], single]
