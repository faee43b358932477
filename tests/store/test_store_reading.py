"""What a store gives out: a row by the beginning of its key, some columns, logits, its marker."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lmd_bench.core.errors import BrokenPlaceError, UserError
from lmd_bench.core.schema import SCHEMA_VERSION
from lmd_bench.store import store as store_module
from lmd_bench.store.compaction import compact
from lmd_bench.store.gathering import gather
from lmd_bench.store.provenance import package_version
from lmd_bench.store.store import Store, open_store
from tests.store.test_results import a_row


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "runs", create=True)


def keyed(key: str, seed: int = 0, **fields) -> dict:
    return a_row(seed) | {"key": key} | fields


def test_a_row_is_found_by_the_beginning_of_its_key(store: Store) -> None:
    rows = [keyed("aab1"), keyed("ab22"), keyed("b333")]
    for row in rows:
        store.write(row)
    assert store.find("ab") == rows[1]
    assert store.find("b") == rows[2]
    assert store.find("aab1") == rows[0]
    compact(store.root)
    assert store.find("b3") == rows[2]


def test_the_phase_parts_keys_that_begin_alike(store: Store) -> None:
    search, confirm = keyed("ab1", phase="search"), keyed("ab2", phase="confirm")
    for row in (search, confirm):
        store.write(row)
    assert store.find("ab", "search") == search
    assert store.find("ab", "confirm") == confirm
    with pytest.raises(UserError, match="2 keys begin with 'ab'"):
        store.find("ab")
    with pytest.raises(UserError, match=r"No confirm row in .*runs has a key that .* 'ab1'"):
        store.find("ab1", "confirm")
    with pytest.raises(UserError, match=r"No row in .*runs has a key that begins with 'x'"):
        store.find("x")


def test_a_whole_key_is_found_though_another_begins_with_it(store: Store) -> None:
    rows = [keyed("ab1"), keyed("ab12"), keyed("ab123")]
    for row in rows[::-1]:
        store.write(row)
    assert store.find("ab1") == rows[0]
    store.trial_file("ab12").unlink()
    store.write(keyed("ab124", seed=4))
    with pytest.raises(UserError, match="2 keys begin with 'ab12'"):
        store.find("ab12")


@pytest.mark.parametrize(("n", "ends"), [(2, "."), (8, "."), (9, ", 1 more."), (12, ", 4 more.")])
def test_of_keys_that_begin_alike_the_first_are_listed_with_what_they_are(
    store: Store, n: int, ends: str
) -> None:
    for number in range(n):
        store.write(keyed(f"a{number:02d}", seed=number, method="lmd", phase="search"))
    with pytest.raises(UserError) as refused:
        store.find("a")
    listed = ", ".join(f"a{k:02d} (lmd, search, seed {k})" for k in range(min(n, 8)))
    assert str(refused.value) == f"{n} keys begin with 'a'; give more of one: {listed}{ends}"


def test_a_row_that_is_damaged_beside_its_key_is_named(store: Store) -> None:
    row = keyed("ab1", cause="recognisable text")
    store.write(row)
    path = store.trial_file("ab1")
    path.write_bytes(path.read_bytes().replace(b"recognisable", b"recognisablf"))
    with pytest.raises(UserError, match="ab1 can be read in part only; run the same search again"):
        store.find("ab")


def test_a_look_gives_some_columns_of_some_studies_in_their_order(store: Store) -> None:
    for seed in (2, 0, 1):
        store.write(a_row(seed))
        store.write(a_row(seed, study="toy/lmd"))
        store.write(a_row(seed, study="other"))
    damaged = store.trial_file("f" * 20)
    damaged.write_bytes(b"PAR1")
    columns = ("key", "study", "phase", "trial_number", "seed")
    looked = store.look(columns, {"toy/crt", "other"})
    expected = [("other", n) for n in range(3)] + [("toy/crt", n) for n in range(3)]
    assert [(row["study"], row["trial_number"]) for row in looked.rows] == expected
    assert set(looked.rows[0]) == {*columns, "finished_at"}
    assert looked.damaged == (damaged,)
    assert store.look(columns, set()).rows == []
    assert {row["study"] for row in store.rows("toy/lmd")} == {"toy/lmd"}


def test_a_scan_names_the_files_that_it_read(store: Store) -> None:
    store.write(a_row(0))
    file = compact(store.root).file
    store.write(a_row(1))
    found = store.scan(("seed",))
    assert found.read == (file, store.trial_file(a_row(1)["key"]))
    assert found.table["seed"].to_pylist() == [0, 1]
    assert found.gone == ()


def test_a_single_file_that_went_while_it_was_listed_is_gone_and_not_damaged(
    store: Store, monkeypatch
) -> None:
    store.write(a_row(0))
    away = store.trial_file("gone")
    listing = Store.singles
    monkeypatch.setattr(Store, "singles", lambda store: [*listing(store), away])
    found = store.scan()
    assert (found.gone, found.damaged) == ((away,), ())


def test_a_compacted_file_that_is_listed_and_gone_ends_no_scan(store: Store, monkeypatch) -> None:
    monkeypatch.setattr(Store, "compacted", lambda store: [store.root / "compacted/gone.parquet"])
    store.write(a_row(0))
    assert len(store.rows()) == 1
    assert store.damaged() == []


def test_the_columns_of_logits_that_are_asked_for_are_read(store: Store) -> None:
    row = a_row()
    store.write(row, [("b", "val", 1, [0.5, 1.5], "g"), ("a", "test", 0, [2.0, 0.0], None)])
    for _ in range(2):
        table = store.logits_table(row["key"], ("split", "label"))
        assert table.to_pylist() == [{"label": 1, "split": "val"}, {"label": 0, "split": "test"}]
        whole = store.logits_table(row["key"])
        assert whole.column_names == ["image_id", "split", "label", "logits", "group"]
        gather(store.root)
    assert store.logits_table("nothing") is None
    labels = store.read_logits(row["key"])["test"][1]
    assert labels.dtype == "int64"


def test_the_error_of_damaged_logits_names_both_files(store: Store) -> None:
    row = a_row()
    store.write(row, [("a", "val", 0, [2.0, 0.0])])
    path = store.logits_file(row["key"])
    path.write_bytes(b"PAR1")
    with pytest.raises(UserError) as refused:
        store.read_groups(row["key"])
    assert str(path) in str(refused.value)
    assert f"trials/{row['key']}.parquet" in str(refused.value)


def test_logits_that_are_gathered_while_they_are_read_are_found(store: Store, monkeypatch) -> None:
    row = a_row()
    store.write(row, [("a", "val", 0, [2.0, 0.0])])
    read = store_module.read_table

    def late(path, columns=None):
        if path == store.logits_file(row["key"]) and path.exists():
            monkeypatch.setattr(store_module, "read_table", read)
            gather(store.root)
        return read(path, columns)

    monkeypatch.setattr(store_module, "read_table", late)
    assert store.read_logits(row["key"])["val"][0] == ("a",)


def test_the_footer_of_a_row_says_where_it_comes_from(store: Store) -> None:
    row = a_row()
    store.write(row)
    footer = json.loads(pq.read_metadata(store.singles()[0]).metadata[b"lmd_bench"])
    names = ("key", "command", "git_commit", "package_version", "python_version")
    assert {name: footer[name] for name in names} == {name: row[name] for name in names}
    assert footer["library_versions"] == json.loads(row["library_versions_json"])
    assert len(footer) == 6


def test_the_marker_names_schema_and_package_and_is_written_once(tmp_path: Path) -> None:
    root = tmp_path / "a" / "b"
    open_store(root, create=True)
    marker = root / "store.json"
    version = {"schema_version": SCHEMA_VERSION, "package_version": package_version()}
    assert json.loads(marker.read_text()) == version
    assert sorted(path.name for path in root.iterdir()) == ["logits", "store.json", "trials"]
    marker.write_text(json.dumps(version | {"package_version": "0.0.1"}))
    assert open_store(root, create=True).root == root
    assert json.loads(marker.read_text())["package_version"] == "0.0.1"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"schema_version": 1}', '{"schema_version": "x"}']
)
def test_a_marker_of_any_other_content_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "store.json").write_text(text)
    with pytest.raises(UserError) as refused:
        open_store(tmp_path)
    assert str(refused.value).startswith(f"{tmp_path / 'store.json'} is not what lmd-bench wrote")


def test_the_error_of_another_schema_says_which_is_read_and_by_what(tmp_path: Path) -> None:
    other = {"schema_version": SCHEMA_VERSION + 1, "package_version": "9.9"}
    (tmp_path / "store.json").write_text(json.dumps(other))
    with pytest.raises(UserError) as refused:
        open_store(tmp_path)
    said = str(refused.value)
    assert said.startswith(f"The results in {tmp_path} have schema version {SCHEMA_VERSION + 1},")
    assert f"this is lmd-bench {package_version()}, which reads version {SCHEMA_VERSION}." in said


def test_the_error_of_a_folder_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BrokenPlaceError) as refused:
        open_store(tmp_path / "file" / "runs", create=True)
    said = str(refused.value)
    assert said.startswith(f"The results folder {tmp_path / 'file' / 'runs'} cannot be made (Not a")
    assert "--results" in said


def test_files_that_begin_with_a_dot_are_not_listed(store: Store) -> None:
    store.write(a_row(0))
    file = compact(store.root).file
    store.write(a_row(1))
    for path in (*store.singles(), file):
        path.with_name(f".{path.name}").write_bytes(b"half")
    assert store.singles() == [store.trial_file(a_row(1)["key"])]
    assert store.compacted() == [file]
    assert store.damaged() == []
