"""Images in archives: WebDataset shards and data sets of Hugging Face on disk."""

import gzip
import json
import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource, TableColumns, TaskSpec
from lmd_bench.data.build import source_notes
from lmd_bench.data.checks.check import SplitReport, check
from lmd_bench.data.datasets import load
from lmd_bench.data.images.prepare import PreparedImages, prepare
from lmd_bench.data.tasks.protocols import cut
from tests.data.datasets.archives import (
    picture,
    rows,
    samples,
    table,
    write_parquet,
    write_saved,
    write_tar,
)

BY_SPLIT = ("train", "validation", "test")


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("LMD_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))


def fields(image: str = "", label: str = "", **names: str) -> TableColumns:
    return TableColumns(None, image, label, **names)


def made(name: str, root: Path, columns: TableColumns | None = None) -> PreparedImages:
    return prepare(name, DataSource(root, columns=columns), 8)


def refusal(name: str, root: Path, columns: TableColumns | None = None) -> str:
    with pytest.raises(UserError) as error:
        made(name, root, columns)
    return str(error.value)


def greys(prepared: PreparedImages) -> list[int]:
    return prepared.read(np.arange(len(prepared.table)))[:, 4, 4, 0].tolist()


def labels(prepared: PreparedImages) -> list[str]:
    return [prepared.table.class_names[label] for label in prepared.table.labels]


# --- shards


def test_a_sample_is_what_has_one_key(tmp_path):
    shard = {
        "a/0001.png": picture(10),
        "a/0001.cls": "nevus\n",
        "./a/0002.JPG": picture(90, "JPEG"),
        "./a/0002.cls": "melanoma",
        "a/._0001.png": b"resource fork",
        "a/0001.txt": "a caption",
    }
    prepared = made("webdataset", write_tar(tmp_path / "x" / "s-00.tar", shard).parent)
    assert prepared.table.image_ids == ("s-00/a/0001", "s-00/a/0002")
    assert labels(prepared) == ["nevus", "melanoma"]
    assert greys(prepared) == pytest.approx([10, 90], abs=1)


def test_json_says_class_and_patient_whichever_record_begins(tmp_path):
    said = [{"label": 1}, {"label": 0, "patient_id": "P1"}, {"label": 1, "patient_id": "P1"}]
    members: dict[str, bytes | str] = {}
    for i, record in enumerate(said):
        members |= {f"{i}.png": picture(i), f"{i}.json": json.dumps(record)}
    write_tar(tmp_path / "s.tar", members)
    (tmp_path / "classnames.txt").write_text("benign\nmalignant\n")
    prepared = made("webdataset", tmp_path)
    assert labels(prepared) == ["malignant", "benign", "malignant"]
    assert prepared.table.groups == ("image:s/0", "P1", "P1")
    (note,) = source_notes(["webdataset"], DataSource(tmp_path))
    assert "'label' says the class and 'patient_id' the group" in note


def test_fields_can_be_named(tmp_path):
    members: dict[str, bytes | str] = {}
    for i in range(6):
        record = {"label": "no", "dx": "ab"[i % 2], "who": f"p{i // 2}", "part": "train val test"}
        record["part"] = record["part"].split()[i // 2]
        members |= {f"{i}.image.png": picture(i), f"{i}.mask.png": picture(99)}
        members[f"{i}.json"] = json.dumps(record)
    write_tar(tmp_path / "s.tar", members)
    columns = fields("image.png", "dx", group_column="who", split_column="part")
    prepared = made("webdataset", tmp_path, columns)
    assert labels(prepared) == list("ababab")
    assert prepared.table.groups == ("p0", "p0", "p1", "p1", "p2", "p2")
    assert prepared.table.splits == ("train", "train", "val", "val", "test", "test")
    assert greys(prepared) == list(range(6))
    assert "has several images, image.png, mask.png" in refusal("webdataset", tmp_path)
    assert "has no image 0.pic, but image.png" in refusal("webdataset", tmp_path, fields("pic"))
    wrong = refusal("webdataset", tmp_path, fields("image.png", "diagnosis"))
    assert "no field 'diagnosis'; its fields are dx, label, part, who" in wrong


@pytest.mark.parametrize("key", ["22.05", "1.2.840.113", "5 Track 2.0 (Clean)", "a.b", "d/x.v2"])
def test_a_key_may_hold_dots_and_its_members_lie_apart(tmp_path, key):
    members = {f"{key}.png": picture(7), "0.png": picture(9), f"{key}.cls": "a", "0.cls": "b"}
    write_tar(tmp_path / "s.tar", members)
    prepared = made("webdataset", tmp_path)
    assert labels(prepared) == ["a", "b"]
    assert greys(prepared) == [7, 9]


@pytest.mark.parametrize("names", ["{}-0000.tar", "{}/0000.tar"])
def test_shards_named_by_their_split_are_the_declared_one(tmp_path, names):
    for split in BY_SPLIT:
        write_tar(tmp_path / names.format(split), samples("ab", 3))
    table = load("webdataset").read(tmp_path)
    assert table.own_splits
    assert table.splits == ("test",) * 6 + ("train",) * 6 + ("val",) * 6
    columns = fields(split_column="cls")
    with pytest.raises(UserError, match="are the split themselves; leave it out"):
        load("webdataset", columns).read(tmp_path)
    write_tar(tmp_path / "more.tar", samples("ab", 3))
    with pytest.raises(UserError, match="1 are no part of its split into .* first more.tar"):
        load("webdataset").read(tmp_path)


def test_one_name_of_a_split_declares_nothing(tmp_path):
    for i in range(2):
        write_tar(tmp_path / f"train-{i}.tar", samples("ab", 3))
    assert load("webdataset").read(tmp_path).splits is None


def test_a_pickled_member_is_refused_unopened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "ran"),))

    for ending in ("pyd", "pickle", "meta.pkl", "pth"):
        write_tar(tmp_path / "s.tar", samples("ab", 1) | {f"0000.{ending}": pickle.dumps(Bomb())})
        said = refusal("webdataset", tmp_path)
        assert f"holds 0000.{ending}, a pickled object, which is never opened" in said
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"0.png": b"x", "0.json": "{"}, "0.json cannot be read"),
        ({"0.png": b"x", "0.json": "[1]"}, "it is no JSON object"),
        ({"0.png": b"x", "0.cls": b"\xff\xfe"}, "0.cls cannot be read"),
        ({"0.png": b"x"}, "has no class of its images; its fields are none"),
        ({"0.png": b"x", "0.cls": "a", "1.png": b"x"}, "image s/1 has no class"),
        ({"0.png": b"x", "0.cls": "NaN"}, "has no class ('NaN')"),
        ({"0.png": b"x", "0.json": '{"label": [0, 3]}'}, "an image has one class here"),
        ({"0.png": b"x", "./0.png": b"y", "0.cls": "a"}, "./0.png twice"),
        ({"0.txt": "a", "0.cls": "a"}, "hold no image"),
        (
            {"0.png": b"x", "0.a.json": '{"y": 1}', "0.b.json": '{"y": 2}'},
            "'y' two values, 2 and 1",
        ),
        ({"../0.png": b"x", "../0.cls": "a"}, "without '..'"),
    ],
)
def test_what_a_shard_lacks_is_told_of(tmp_path, members, message):
    write_tar(tmp_path / "s.tar", members)
    assert message in refusal("webdataset", tmp_path)


def test_a_cut_a_compressed_and_an_absent_shard_are_told_of(tmp_path):
    assert "holds no .tar shards" in refusal("webdataset", tmp_path)
    whole = write_tar(tmp_path / "s.tar", samples("ab", 9)).read_bytes()
    (tmp_path / "s.tar").write_bytes(whole[:2000])
    assert "s.tar cannot be read" in refusal("webdataset", tmp_path)
    (tmp_path / "s.tar").write_bytes(gzip.compress(whole))
    assert "must be a whole .tar file that is not compressed" in refusal("webdataset", tmp_path)
    (tmp_path / "s.tar").rename(tmp_path / "s.tar.gz")
    assert "Unpack the compressed ones first: gunzip" in refusal("webdataset", tmp_path)


def test_samples_without_an_image_are_counted(tmp_path):
    write_tar(tmp_path / "s.tar", samples("ab", 2) | {"9.exr": b"x", "9.cls": "a"})
    assert "1 of 5 samples are left out" in " ".join(
        source_notes(["webdataset"], DataSource(tmp_path))
    )


def test_a_class_that_has_no_name_is_told_of(tmp_path):
    write_tar(tmp_path / "s.tar", samples("012", 1))
    (tmp_path / "classnames.txt").write_text("one\ntwo\n")
    assert "the class is 2, but classnames.txt names 0 to 1" in refusal("webdataset", tmp_path)


def test_what_the_package_webdataset_writes_is_read(tmp_path):
    package = pytest.importorskip("webdataset", reason="the package webdataset is not installed")
    with package.TarWriter(str(tmp_path / "s.tar")) as shard:
        for i in range(4):
            image = np.full((9, 12, 3), 10 * i, dtype=np.uint8)
            record = {"label": i % 2, "patient": f"P{i}"}
            shard.write({"__key__": f"scan/{i:03d}", "png": image, "json": record})
    prepared = made("webdataset", tmp_path)
    assert labels(prepared) == ["0", "1", "0", "1"]
    assert prepared.table.groups == ("P0", "P1", "P2", "P3")
    assert greys(prepared) == [0, 10, 20, 30]


# --- Hugging Face


def test_a_saved_data_set_gives_its_images_and_classes(tmp_path):
    write_saved(tmp_path, rows((1, 0), 3), names=("nevus", "melanoma"))
    # Of an earlier save in other parts.
    (tmp_path / "data-00000-of-00001.arrow").write_bytes(b"old")
    prepared = made("huggingface", tmp_path)
    assert prepared.table.image_ids[:2] == ("row-000000", "row-000001")
    assert labels(prepared) == ["melanoma"] * 3 + ["nevus"] * 3
    assert greys(prepared) == [40, 41, 42, 100, 101, 102]


def test_what_the_package_keeps_of_a_loaded_data_set_is_read(tmp_path):
    for split in ("train", "test"):
        write_saved(tmp_path / split, rows("ab", 3))
        (tmp_path / split / "state.json").unlink()
        for part in range(2):
            file = tmp_path / split / f"data-{part:05d}-of-00002.arrow"
            file.rename(tmp_path / f"own-{split}-{part}.arrow")
    (tmp_path / "cache-0123.arrow").write_bytes(b"of a map")
    prepared = made("huggingface", tmp_path)
    assert prepared.table.splits == ("test",) * 6 + ("train",) * 6


@pytest.mark.parametrize("kind", ["folders", "parquet"])
def test_the_splits_of_a_data_set_are_the_declared_ones(tmp_path, kind):
    for split in BY_SPLIT:
        if kind == "folders":
            write_saved(tmp_path / split, rows("ab", 4))
        else:
            write_parquet(tmp_path / f"data/{split}-00000-of-00001.parquet", rows("ab", 4))
    prepared = made("huggingface", tmp_path)
    assert prepared.table.own_splits
    assert prepared.table.splits == ("test",) * 8 + ("train",) * 8 + ("val",) * 8
    assert prepared.table.image_ids[8] == "train-000000"
    assert greys(prepared) == [40, 41, 42, 43, 100, 101, 102, 103] * 3
    split = cut(prepared.table, TaskSpec("huggingface", "official"), DataSource(tmp_path))
    assert [len(rows) for rows in (split.train, split.val, split.test)] == [8, 8, 8]


def test_columns_can_be_named_and_the_one_with_class_names_needs_not(tmp_path):
    columns = rows("ab", 3) | {"who": ["x", "x", "y", "y", "z", None], "other": [b"1"] * 6}
    write_saved(tmp_path, columns)
    prepared = made("huggingface", tmp_path, fields("image", "label", group_column="who"))
    assert prepared.table.groups == ("x", "x", "y", "y", "z", "image:row-000005")
    columns["grade"] = columns.pop("label")
    write_saved(tmp_path, columns)
    assert "name the one of the class with --label-column" in refusal("huggingface", tmp_path)
    assert labels(made("huggingface", tmp_path, fields(label="grade"))) == list("aaabbb")


def test_tables_of_other_packages_give_the_column_of_bytes(tmp_path):
    import pyarrow.parquet as pq

    plain = table(rows("ab", 3)).replace_schema_metadata(None)
    pq.write_table(plain, tmp_path / "x.parquet")
    assert greys(made("huggingface", tmp_path)) == [40, 41, 42, 100, 101, 102]
    pq.write_table(plain.append_column("mask", plain["image"]), tmp_path / "x.parquet")
    assert "those of images are image, mask; name one of them" in refusal("huggingface", tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": [-1] * 6}, "image row-000000 has no class"),
        ({"label": [[0, 1]] * 6}, "an image has one class here"),
        ({"image": [{"bytes": None, "path": "/etc/passwd"}] * 6}, "names a file in place of it"),
        ({"image": [{"bytes": b"no", "path": ""}] * 6}, "it is no image of a known kind"),
    ],
)
def test_what_a_table_lacks_is_told_of(tmp_path, change, message):
    write_saved(tmp_path, rows((0, 1), 3) | change, names=None if "image" in change else "ab")
    assert message in refusal("huggingface", tmp_path)


def test_both_kinds_of_arrow_file_are_read(tmp_path):
    import pyarrow as pa

    whole = table(rows("ab", 3))
    with pa.ipc.new_file(str(tmp_path / "x.arrow"), whole.schema) as file:
        file.write_table(whole)
    assert labels(made("huggingface", tmp_path)) == list("aaabbb")


def test_damaged_absent_and_mixed_files_are_told_of(tmp_path):
    assert "holds no data set of Hugging Face" in refusal("huggingface", tmp_path)
    write_saved(tmp_path, rows("ab", 3))
    part = tmp_path / "data-00001-of-00002.arrow"
    part.write_bytes(part.read_bytes()[:300])
    assert f"{part} cannot be read" in refusal("huggingface", tmp_path)
    part.unlink()
    assert f"{part}, which" in refusal("huggingface", tmp_path)
    write_saved(tmp_path, rows("ab", 3))
    write_parquet(tmp_path / "p" / "x.parquet", rows("ab", 3))
    assert "holds Arrow files" in refusal("huggingface", tmp_path)
    (tmp_path / "state.json").write_text("{}")
    assert "state.json cannot be read" in refusal("huggingface", tmp_path)


def test_what_the_package_itself_writes_is_read(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    package = pytest.importorskip("datasets", reason="the package datasets is not installed")
    package.disable_progress_bars()
    kinds = package.Features(
        {"image": package.Image(), "label": package.ClassLabel(names=["nevus", "melanoma"])}
    )
    saved = package.Dataset.from_dict(rows((1, 0), 2), features=kinds)
    package.DatasetDict({"train": saved, "test": saved}).save_to_disk(
        tmp_path / "saved", num_shards={"train": 2, "test": 1}
    )
    prepared = made("huggingface", tmp_path / "saved")
    assert prepared.table.splits == ("test",) * 4 + ("train",) * 4
    assert labels(prepared) == ["melanoma", "melanoma", "nevus", "nevus"] * 2
    assert greys(prepared) == [40, 41, 100, 101] * 2
    saved.to_parquet(tmp_path / "hub" / "x.parquet")
    assert labels(made("huggingface", tmp_path / "hub")) == labels(prepared)[:4]


# --- both


def written(name: str, root: Path, n: int) -> None:
    if name == "webdataset":
        write_tar(root / "s.tar", samples("ab", n))
    else:
        write_parquet(root / "x.parquet", rows("ab", n))


@pytest.mark.parametrize("name", ["webdataset", "huggingface"])
def test_check_looks_at_images_in_archives(tmp_path, name):
    written(name, tmp_path, 40)
    report = check(TaskSpec(name, image_size=8), DataSource(tmp_path))
    assert isinstance(report, SplitReport)
    assert len(report.table) == 80
    assert not report.by_file  # of each image, not of the archive
    if name == "webdataset":
        write_tar(tmp_path / "t.tar", {"9.png": picture(1)[:50], "9.cls": "a"})
        (fault,) = check(TaskSpec(name, image_size=8), DataSource(tmp_path))
        assert fault.image_id == "t/9"


def test_fields_reach_other_processes():
    source = DataSource(Path("x"), columns=fields("png", "dx", group_column="who"))
    assert DataSource.from_payload(source.to_payload()) == source


@pytest.mark.parametrize("name", ["webdataset", "huggingface"])
def test_other_pixels_give_another_fingerprint_and_the_same_ones_the_same(tmp_path, name):
    for root in ("a", "b"):
        (tmp_path / root).mkdir()
        written(name, tmp_path / root, 3)
    first, second = (made(name, tmp_path / root).fingerprint for root in ("a", "b"))
    assert first == second
    written(name, tmp_path / "b", 4)
    assert made(name, tmp_path / "b").fingerprint != first


def test_dicom_in_a_shard_is_sent_to_a_folder(tmp_path):
    scan = b"\0" * 128 + b"DICM" + b"\0" * 50
    write_tar(tmp_path / "s.tar", samples("ab", 2) | {"9.dcm": scan, "9.cls": "a"})
    assert "DICOM is not read from archives; unpack" in refusal("webdataset", tmp_path)


def test_a_csv_is_refused_and_a_folder_of_archives_names_what_reads_it(tmp_path):
    with pytest.raises(UserError, match="so --images-csv does not apply"):
        load("webdataset", TableColumns(tmp_path / "x.csv", "a", "b"))
    written("webdataset", tmp_path, 2)
    with pytest.raises(UserError, match=re.escape(".tar files are read by --dataset webdataset")):
        load("folder").read(tmp_path)
