"""A pack of results: what its manifest says, and each way in which a file does not fit to it."""

import hashlib
import json
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.store.columns import COLUMNS
from lmd_bench.store.compaction import compact, write_compacted
from lmd_bench.store.gathering import gather
from lmd_bench.store.hiding import are_hidden
from lmd_bench.store.packs import (
    MANIFEST,
    Fault,
    file_hash,
    pack,
    unpack,
    whole_row_hash,
    write_pack,
)
from lmd_bench.store.provenance import package_version
from lmd_bench.store.store import open_store
from tests.store.test_results import a_row


@pytest.fixture
def results(tmp_path: Path) -> Path:
    store = open_store(tmp_path / "results", create=True)
    for seed in range(3):
        store.write(a_row(seed), [(f"image{seed}", "val", 0, [1.0, 0.0], None)])
    return store.root


@pytest.fixture
def file(results: Path, tmp_path: Path) -> Path:
    pack([results], tmp_path / "pack.zip")
    return tmp_path / "pack.zip"


def members(file: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed_as(file: Path, contents: dict[str, bytes], how: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(file, "w", how) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return file


def a_member(contents: dict[str, bytes], folder: str) -> str:
    return next(name for name in contents if name.startswith(f"{folder}/"))


def test_a_pack_holds_rows_logits_marker_and_manifest_and_nothing_compressed(
    results: Path, tmp_path: Path
) -> None:
    (results / "notes.txt").write_text("mine")
    packed = pack([results], tmp_path / "p.zip")
    with zipfile.ZipFile(tmp_path / "p.zip") as archive:
        facts = archive.infolist()
    assert {fact.compress_type for fact in facts} == {zipfile.ZIP_STORED}
    assert {fact.date_time for fact in facts} == {(1980, 1, 1, 0, 0, 0)}
    kinds = sorted(re.sub(r"[0-9a-f]{20}", "*", fact.filename) for fact in facts)
    assert kinds == [
        *("compacted/*.parquet", *["logits/*.parquet"] * 3),
        *("manifest.json", "store.json"),
    ]
    assert (packed.n_rows, packed.n_bytes) == (3, (tmp_path / "p.zip").stat().st_size)
    assert packed.sha256 == hashlib.sha256((tmp_path / "p.zip").read_bytes()).hexdigest()
    assert packed.sha256 == file_hash(tmp_path / "p.zip")
    assert len(packed.arrivals) == 1


def test_the_manifest_names_each_file_and_each_row_with_its_hash(file: Path, tmp_path) -> None:
    contents = members(file)
    assert unpack(file, tmp_path / "into") == []
    store = open_store(tmp_path / "into")
    manifest = json.loads(contents[MANIFEST])
    assert manifest == {
        "format": 1,
        "package_version": package_version(),
        "files": {
            name: hashlib.sha256(data).hexdigest()
            for name, data in contents.items()
            if name != MANIFEST
        },
        "rows": {
            row["key"]: hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()
            for row in store.rows()
        },
    }
    assert contents[MANIFEST].endswith(b"}\n")
    assert {whole_row_hash(row) for row in store.rows()} == set(manifest["rows"].values())
    assert sorted(path.name for path in store.root.iterdir()) == sorted(
        ["compacted", "logits", "manifest.json", "store.json", "trials"]
    )


def test_a_pack_without_logits_holds_none_and_unpacks_to_a_store(results, tmp_path) -> None:
    packed = pack([results], tmp_path / "bare.zip", logits=False)
    assert packed.n_rows == 3
    assert not [name for name in members(tmp_path / "bare.zip") if name.startswith("logits/")]
    assert unpack(tmp_path / "bare.zip", tmp_path / "into") == []
    assert sorted(path.name for path in (tmp_path / "into").iterdir()) == sorted(
        ["compacted", "logits", "manifest.json", "store.json", "trials"]
    )


def test_logits_that_were_gathered_are_packed_in_one_file(results: Path, tmp_path: Path) -> None:
    compact(results)
    gather(results)
    pack([results], tmp_path / "p.zip")
    folders = [name.partition("/")[0] for name in members(tmp_path / "p.zip")]
    assert folders == ["compacted", "gathered", "store.json", MANIFEST]
    assert unpack(tmp_path / "p.zip", tmp_path / "into") == []
    into, own = open_store(tmp_path / "into"), open_store(results)
    for key in (row["key"] for row in own.rows()):
        (ids, labels, logits), theirs = own.read_logits(key)["val"], into.read_logits(key)["val"]
        assert are_hidden(theirs[0])
        assert len(theirs[0]) == len(ids)
        assert (theirs[1].tolist(), theirs[2].tolist()) == (labels.tolist(), logits.tolist())
    contents = members(tmp_path / "p.zip")
    contents[a_member(contents, "gathered")] += b"\0"
    faults = faults_of(tmp_path, packed_as(tmp_path / "p.zip", contents))
    assert [(fault.kind, fault.where.partition("/")[0]) for fault in faults] == [
        ("manifest", "gathered")
    ]


def test_what_stands_behind_an_ablation_is_packed(results: Path, tmp_path: Path) -> None:
    store = open_store(results)
    compact(results)
    folder = results / "ablations"
    folder.mkdir()
    for name in ("of-a_method1.json", "odd name.json", "page.html"):
        (folder / name).write_text("{}")
    write_pack(store, tmp_path / "p.zip")
    ablations = [name for name in members(tmp_path / "p.zip") if name.startswith("abl")]
    assert ablations == ["ablations/of-a_method1.json"]


def test_files_are_packed_in_the_order_of_their_names(file: Path) -> None:
    names = list(members(file))
    assert names[:-1] == sorted(names[:-1])
    assert names[-1] == MANIFEST


def faults_of(tmp_path: Path, file: Path) -> list[Fault]:
    return unpack(file, tmp_path / "out")


def test_a_file_that_the_manifest_does_not_name_is_a_fault(file: Path, tmp_path: Path) -> None:
    contents = members(file) | {"logits/00ff.parquet": b"more"}
    assert faults_of(tmp_path, packed_as(file, contents)) == [
        Fault("manifest", "logits/00ff.parquet", "the manifest does not name it")
    ]


def test_a_file_that_is_not_there_or_another_is_a_fault(file: Path, tmp_path: Path) -> None:
    contents = members(file)
    first, second, _ = (name for name in contents if name.startswith("logits/"))
    del contents[first]
    contents[second] += b"\0"
    assert faults_of(tmp_path, packed_as(file, contents)) == [
        Fault("manifest", first, "the manifest names it, and it is not there"),
        Fault("manifest", second, "its SHA-256 is not that of the manifest"),
    ]


def rewritten(file: Path, rows: list[dict[str, Any]], named: dict[str, str] | None = None) -> Path:
    """Put other rows into a pack, and let the manifest name their file."""
    contents = members(file)
    del contents[a_member(contents, "compacted")]
    folder = file.parent / "rows"
    folder.mkdir()
    path = write_compacted(pa.Table.from_pylist(rows, COLUMNS), folder)
    contents[f"compacted/{path.name}"] = path.read_bytes()
    manifest = json.loads(contents[MANIFEST])
    if named is not None:
        manifest["rows"] = named
    manifest["files"] = {
        name: hashlib.sha256(data).hexdigest()
        for name, data in contents.items()
        if name != MANIFEST
    }
    contents[MANIFEST] = json.dumps(manifest).encode()
    return packed_as(file, contents)


@pytest.fixture
def rows(file: Path, tmp_path: Path) -> list[dict[str, Any]]:
    unpack(file, tmp_path / "first")
    return open_store(tmp_path / "first").rows()


def test_a_row_that_is_there_twice_is_counted(file: Path, tmp_path: Path, rows) -> None:
    found = faults_of(tmp_path, rewritten(file, [*rows, rows[1], rows[1]]))
    assert found == [Fault("doubled", rows[1]["key"], "the row is there 3 times")]


def test_a_row_that_is_not_there_is_a_fault(file: Path, tmp_path: Path, rows) -> None:
    found = faults_of(tmp_path, rewritten(file, rows[:1]))
    missing = sorted(row["key"] for row in rows[1:])
    what = "the manifest names this row, and it is not there"
    assert found == [Fault("manifest", key, what) for key in missing]


def test_a_row_of_other_values_is_a_fault(file: Path, tmp_path: Path, rows) -> None:
    found = faults_of(tmp_path, rewritten(file, [rows[0], rows[1] | {"seconds": 0.1}, rows[2]]))
    assert found == [Fault("manifest", rows[1]["key"], "the row is not that of the manifest")]


def test_a_row_that_the_manifest_does_not_name_is_a_fault(file: Path, tmp_path: Path, rows) -> None:
    named = {row["key"]: whole_row_hash(row) for row in rows[:2]}
    found = faults_of(tmp_path, rewritten(file, rows, named))
    assert found == [Fault("manifest", rows[2]["key"], "the manifest does not name this row")]


@pytest.mark.parametrize("text", [None, b"", b"{", b"[]", b"{}", b'{"files": {}}', b'{"rows": 1}'])
def test_a_manifest_that_cannot_be_read_is_one_fault(file: Path, tmp_path: Path, text) -> None:
    contents = members(file)
    del contents[MANIFEST]
    if text is not None:
        contents[MANIFEST] = text
    assert faults_of(tmp_path, packed_as(file, contents)) == [
        Fault("manifest", MANIFEST, "it is absent or cannot be read")
    ]


def test_a_member_that_no_pack_holds_is_left_out_and_the_rest_is_written(
    file: Path, tmp_path: Path
) -> None:
    contents = {"evil.html": b"x", **members(file), "logits/../../up.parquet": b"y"}
    found = faults_of(tmp_path, packed_as(file, contents))
    what = "a pack holds no such file; it was not written"
    assert found == [
        Fault("member", "evil.html", what),
        Fault("member", "logits/../../up.parquet", what),
    ]
    assert len(open_store(tmp_path / "out").rows()) == 3
    assert not list(tmp_path.rglob("evil*"))
    assert not list(tmp_path.rglob("up.*"))


def test_of_a_member_that_is_there_twice_the_first_is_taken(file: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("store.json", b"{}")
    what = "it is there twice; the first was taken"
    assert faults_of(tmp_path, file) == [Fault("member", "store.json", what)]


def test_a_compressed_member_is_not_written(file: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("logits/00ff.parquet", bytes(9000), zipfile.ZIP_DEFLATED)
    (fault,) = faults_of(tmp_path, file)
    assert (fault.kind, fault.where) == ("member", "logits/00ff.parquet")
    assert fault.what.startswith("it is compressed, and could grow")
    assert not (tmp_path / "out" / "logits" / "00ff.parquet").exists()


def test_a_pack_is_written_to_an_empty_folder_and_to_no_other(file: Path, tmp_path: Path) -> None:
    into = tmp_path / "deep" / "into"
    assert unpack(file, into) == []
    before = sorted(into.rglob("*"))
    with pytest.raises(UserError, match=re.escape(f"{into} is not empty; name a folder that is")):
        unpack(file, into)
    assert sorted(into.rglob("*")) == before
    shutil.rmtree(into)
    into.mkdir()
    assert unpack(file, into) == []


def test_a_file_that_is_no_pack_is_named(file: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"store.json is no pack that can be read \(File is not"):
        unpack(tmp_path / "results" / "store.json", tmp_path / "out")
    with pytest.raises(UserError, match="absent.zip is no pack that can be read"):
        unpack(tmp_path / "absent.zip", tmp_path / "out")
    contents = members(file)
    del contents["store.json"]
    with pytest.raises(UserError, match=r"pack.zip is no pack .* holds no store.json"):
        unpack(packed_as(file, contents), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_hash_of_a_row_is_of_all_its_columns() -> None:
    row = a_row()
    assert whole_row_hash(row) == whole_row_hash(dict(reversed(row.items())))
    assert len({whole_row_hash(row | {"cause": text}) for text in ("", "x", "y")}) == 3
