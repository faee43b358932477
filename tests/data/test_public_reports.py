"""What people reported of other tools, tried here: docs/data-reports.md names the reports."""

import numpy as np
import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.core.options import from_keywords
from lmd_bench.core.schema import DataSource, TableColumns, TaskSpec
from lmd_bench.data.build import source_notes
from lmd_bench.data.checks.doubles import crossing_groups
from lmd_bench.data.datasets import load
from lmd_bench.data.options import DataOptions
from lmd_bench.data.tasks.protocols import cut
from lmd_bench.data.tasks.task import build_task
from tests.data.datasets.layouts import write_image

OFFICIAL = TaskSpec("folder", "official")


def images(root, *names):
    for i, name in enumerate(names):
        write_image(root / name, value=i % 200)


def csv(root, text, image="f", label="y", **columns):
    (root / "list.csv").write_text(text)
    return TableColumns(root / "list.csv", image, label, **columns)


def table_of(root, columns=None):
    return load("folder", columns).read(root)


def shown(table):
    return {i: table.class_names[k] for i, k in zip(table.image_ids, table.labels, strict=True)}


def test_a_class_that_val_lacks_shifts_no_label_and_is_refused(tmp_path):
    images(tmp_path, *(f"train/{c}/{i}.png" for c in "abc" for i in range(3)))
    images(tmp_path, *(f"val/{c}/{i}.png" for c in "ac" for i in range(2)))
    table = table_of(tmp_path)
    assert {i: name for i, name in shown(table).items() if i.split("/")[1] != name} == {}
    with pytest.raises(UserError, match="Class b has no image in val"):
        build_task(table, OFFICIAL, "x")


def test_a_test_folder_without_classes_is_refused(tmp_path):
    images(tmp_path, "train/a/1.png", "train/b/1.png", "test/1.png", "test/2.png")
    with pytest.raises(UserError, match="test holds images outside the sub-folders"):
        table_of(tmp_path)


@pytest.mark.parametrize("name", ["i1", "i1.png", "i1.jpg", "I/../i1"])
def test_an_ending_that_is_absent_or_another_does_not_count(tmp_path, name):
    images(tmp_path, "i1.jpg", "i2.png")
    columns = csv(tmp_path, f"f,y\n{name},a\ni2,b\n")
    if ".." in name:
        with pytest.raises(UserError, match="is not allowed"):
            table_of(tmp_path, columns)
        return
    assert not load("folder", columns).missing(tmp_path, table_of(tmp_path, columns)).any()


def test_files_of_systems_are_no_images(tmp_path):
    images(tmp_path, "a/1.png", "b/1.png", "a/.DS_gt.png", "b/._1.png")
    for name in ("a/Thumbs.db", "a/.DS_Store", ".DS_Store"):
        (tmp_path / name).write_bytes(b"x")
    assert table_of(tmp_path).image_ids == ("a/1", "b/1")


def test_a_patient_in_all_published_lists_is_found(tmp_path):
    images(tmp_path, *(f"{i}.png" for i in range(6)))
    columns = csv(
        tmp_path,
        "f,y,p\n" + "".join(f"{i},{'ab'[i % 2]},{'p23' if i % 2 else i}\n" for i in range(6)),
        group_column="p",
    )
    (tmp_path / "lists").mkdir()
    for split, rows in (("train", "0\n1\n"), ("val", "2\n3\n"), ("test", "4\n5\n")):
        (tmp_path / "lists" / f"{split}.txt").write_text(rows)
    table = table_of(tmp_path, columns)
    split = cut(table, OFFICIAL, DataSource(split_dir=tmp_path / "lists"))
    found = crossing_groups(table, split)
    assert [crossing.groups for crossing in found] == [("p23",)] * 3


def test_images_that_no_row_names_are_counted(tmp_path):
    images(tmp_path, "1.png", "2.png", "3.png")
    columns = csv(tmp_path, "f,y\n1,a\n2,b\n")
    (note,) = source_notes(["folder"], DataSource(tmp_path, columns=columns))
    assert "1 of 3 images in the folder are not listed in list.csv" in note


def test_the_classes_that_a_rule_leaves_out_are_said(tmp_path):
    images(tmp_path, "a/1.png", "a/2.png", "b/1.png", "b/2.png", "c/1.png")
    source = DataSource(tmp_path, rare_classes="drop", rare_below=2)
    (note,) = source_notes(["folder"], source)
    assert note == "folder: 1 images are left out by --rare-classes drop, those of c"


@pytest.mark.parametrize("sign", ["|", ";", ","])
def test_labels_of_several_findings_at_once_are_said(tmp_path, sign):
    images(tmp_path, "1.png", "2.png", "3.png")
    columns = csv(tmp_path, f'f,y\n1,Edema\n2,Mass\n3,"Edema{sign}Mass"\n')
    (note,) = source_notes(["folder"], DataSource(tmp_path, columns=columns))
    assert f"1 of 3 classes look like several of the others at once, first 'Edema{sign}Mass" in note


def test_class_names_hold_commas_and_apostrophes(tmp_path):
    columns = csv(tmp_path, 'f;y\n1;"NKT cell, CD1d"\n2;Crohn\'s\n')
    assert table_of(tmp_path, columns).class_names == ("Crohn's", "NKT cell, CD1d")


def test_a_header_between_semicolons_with_two_more_at_its_end_is_read(tmp_path):
    columns = csv(tmp_path, "f;y;;\n1;a;;\n2;b;;\n")
    assert table_of(tmp_path, columns).class_names == ("a", "b")


def test_a_list_is_read_with_blanks_in_names_and_an_empty_last_line(tmp_path):
    names = [f"drinking ({i}).png" for i in range(4)]
    images(tmp_path, *(f"v/{name}" for name in names))
    (tmp_path / "train.txt").write_text(f"v/{names[0]} 1\nv/{names[1]} 2\n\n")
    (tmp_path / "val.txt").write_text(f"v/{names[2]} 1\nv/{names[3]} 2\n\n")
    source = from_keywords(DataOptions, {"images_csv": tmp_path}).source()
    assert source.columns is not None
    table = table_of(tmp_path, source.columns)
    assert table.class_names == ("1", "2")
    assert table.splits == ("train", "train", "val", "val")
    assert not load("folder", source.columns).missing(tmp_path, table).any()
    assert table.own_splits


def test_a_list_without_classes_is_refused_where_it_is_to_say_them(tmp_path):
    for split in ("train", "val", "test"):
        (tmp_path / f"{split}.txt").write_text("1.png\n2.png\n")
    with pytest.raises(UserError, match="train.txt gives image 1 no class"):
        table_of(tmp_path, TableColumns(tmp_path, "", ""))


def test_csvs_of_each_split_have_named_columns_and_patients(tmp_path):
    for n, split in enumerate(("train", "valid", "test")):
        text = "id_code,diagnosis,who\n" + "".join(f"{n}{i},{i},p{n}\n" for i in range(2))
        (tmp_path / f"{split}.csv").write_text(text)
    columns = TableColumns(tmp_path, "id_code", "diagnosis", "who")
    table = table_of(tmp_path, columns)
    assert table.groups == ("p0", "p0", "p1", "p1", "p2", "p2")
    assert table.splits == ("train", "train", "val", "val", "test", "test")
    (tmp_path / "test.csv").write_text("id_code,diagnosis,who\n00,1,p0\n")
    with pytest.raises(UserError, match="list of test: image 00 was there before, list of train"):
        table_of(tmp_path, columns)
    with pytest.raises(UserError, match="holds the lists of 0 splits"):
        table_of(tmp_path, TableColumns(tmp_path.parent, "f", "y"))


def test_an_image_in_train_and_val_is_refused(tmp_path):
    images(tmp_path, *(f"{c}/{i}.png" for c in "ab" for i in range(3)))
    for split, names in (("train", ["a/0", "b/0"]), ("val", ["a/0", "b/1"]), ("test", ["a/2"])):
        (tmp_path / f"{split}.txt").write_text("\n".join(names))
    with pytest.raises(UserError, match="lists image a/0 twice, in train and in val"):
        cut(table_of(tmp_path), OFFICIAL, DataSource(split_dir=tmp_path))


def test_a_class_of_one_image_is_named_with_its_count(tmp_path):
    images(tmp_path, *(f"a/{i}.png" for i in range(20)), "b/1.png")
    with pytest.raises(UserError, match="Class 'b' has 1 images; this protocol needs at least 8"):
        cut(table_of(tmp_path), TaskSpec("folder", "balanced_v2"))


def test_rows_of_pixels_are_no_list_of_images(tmp_path):
    columns = csv(tmp_path, "pixel0000,pixel0001,label\n1,2,0\n")
    with pytest.raises(UserError, match="lacks the column f, y; .* has pixel0000, pixel0001, lab"):
        table_of(tmp_path, columns)


def test_a_label_that_a_set_does_not_have_is_refused(tmp_path):
    arrays: dict[str, np.ndarray] = {}
    for split in ("train", "val", "test"):
        arrays[f"{split}_images"] = np.zeros((11, 28, 28), dtype=np.uint8)
        arrays[f"{split}_labels"] = np.arange(1, 12, dtype=np.uint8)[:, None]
    np.savez(tmp_path / "organsmnist.npz", **arrays)
    with pytest.raises(UserError, match="unknown label 11; allowed are 0 to 10"):
        load("organsmnist").read(tmp_path)
