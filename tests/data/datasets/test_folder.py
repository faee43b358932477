import os
from dataclasses import replace

import numpy as np
import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource, TableColumns, TaskSpec
from lmd_bench.data.datasets import load
from lmd_bench.data.images.prepare import prepare
from lmd_bench.data.tasks.task import build_task, open_test
from tests.data.datasets.layouts import write_image


def described(tmp_path, text, group=None, split=None):
    csv = tmp_path / "images.csv"
    csv.write_text(text)
    return TableColumns(csv, "file", "dx", group, split)


def table_of(tmp_path, columns=None):
    return load("folder", columns).read(tmp_path)


def test_a_class_is_the_sub_folder_that_an_image_lies_in(tmp_path):
    for file in ("b/2.png", "b/deep/1.JPG", "a/1.tif", "a/.hidden.png", "a/notes.txt"):
        write_image(tmp_path / file) if not file.endswith("txt") else None
    table = table_of(tmp_path)
    assert table.class_names == ("a", "b")
    assert table.image_ids == ("a/1", "b/2", "b/deep/1")
    assert table.labels.tolist() == [0, 1, 1]
    assert table.groups == ("image:a/1", "image:b/2", "image:b/deep/1")


def test_an_image_outside_the_class_folders_is_refused(tmp_path):
    write_image(tmp_path / "a" / "1.png")
    write_image(tmp_path / "loose.png")
    with pytest.raises(UserError, match="outside the sub-folders of its classes, first loose"):
        table_of(tmp_path)


def test_a_folder_without_sub_folders_says_what_is_needed(tmp_path):
    with pytest.raises(UserError, match="sub-folder of its name; or describe a CSV"):
        table_of(tmp_path)


def test_two_files_of_one_name_are_refused(tmp_path):
    write_image(tmp_path / "a" / "1.png")
    write_image(tmp_path / "a" / "1.jpg")
    with pytest.raises(UserError, match="image a/1 was there before"):
        table_of(tmp_path)


def test_a_csv_names_files_with_or_without_ending_and_path(tmp_path):
    for file in ("x/1.png", "y/2.jpg", "3.v2.png"):
        write_image(tmp_path / file)
    columns = described(tmp_path, "file,dx,patient\n1,mel,p\ny/2.jpg,nv,p\n3.v2,mel,\n", "patient")
    table = table_of(tmp_path, columns)
    assert table.image_ids == ("1", "y/2", "3.v2")
    assert table.class_names == ("mel", "nv")
    assert table.groups == ("p", "p", "image:3.v2")
    paths = load("folder", columns).paths(tmp_path, table)
    assert [path.name for path in paths] == ["1.png", "2.jpg", "3.v2.png"]
    prepared = prepare("folder", DataSource(tmp_path, columns=columns), 8)
    assert prepared.read(np.arange(3)).shape == (3, 8, 8, 3)


def test_a_changed_csv_or_column_is_prepared_anew(tmp_path):
    for file in ("1.png", "2.png"):
        write_image(tmp_path / file)
    columns = described(tmp_path, "file,dx,stage\n1,a,x\n2,b,y\n")
    by_dx = prepare("folder", DataSource(tmp_path, columns=columns), 8)
    by_stage = TableColumns(columns.images_csv, "file", "stage")
    assert prepare("folder", DataSource(tmp_path, columns=by_stage), 8).table.class_names == (
        "x",
        "y",
    )
    described(tmp_path, "file,dx,stage\n1,b,x\n2,a,y\n")
    again = prepare("folder", DataSource(tmp_path, columns=columns), 8)
    assert again.fingerprint != by_dx.fingerprint


def test_columns_of_0_and_1_are_classes(tmp_path):
    columns = described(tmp_path, "file;mel;nv;age\n1;0;1.0;30\n2;1;0;40\n")
    table = table_of(tmp_path, replace(columns, label_column="nv,mel"))
    assert table.class_names == ("mel", "nv")
    assert table.labels.tolist() == [1, 0]
    with pytest.raises(UserError, match="lacks the column bcc; it needs file, mel, nv, bcc"):
        table_of(tmp_path, replace(columns, label_column="mel,nv,bcc"))
    described(tmp_path, "file,mel,nv\n1,0,1\n2,1,1\n")
    with pytest.raises(UserError, match="line 3: image 2 has 1, 1 for mel, nv; exactly one"):
        table_of(tmp_path, replace(columns, label_column="mel,nv"))


def test_a_column_may_have_a_comma_in_its_name(tmp_path):
    columns = described(tmp_path, 'file,"site, or none"\n1,a\n2,b\n')
    table = table_of(tmp_path, replace(columns, label_column="site, or none"))
    assert table.class_names == ("a", "b")


def test_a_split_column_is_the_official_split(tmp_path):
    rows = ["file,dx,part"]
    for i, part in enumerate(("training", "VAL", "test") * 2):
        write_image(tmp_path / f"{i}.png")
        rows.append(f"{i},{'ab'[i // 3]},{part}")
    columns = described(tmp_path, "\n".join(rows), split="part")
    table = table_of(tmp_path, columns)
    assert table.splits == ("train", "val", "test") * 2
    task = build_task(table, TaskSpec("folder", "official"), "x")
    assert task.train.tolist() == [0, 3]
    assert open_test(table, task, "x").tolist() == [2, 5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,dx\n../1.png,a\n", "line 2: the image '../1.png' is not allowed"),
        ("file,dx\n/etc/1.png,a\n", "line 2: the image '/etc/1.png' is not allowed"),
        ("file,dx\n1,a\n1.png,b\n", "line 3: image 1 was there before, line 2"),
        ("file,dx\n1,a\n2,\n", "line 3: column dx is empty"),
        ("file,label\n1,a\n", "lacks the column dx; it needs file, dx and has file, label"),
        ("file,dx\n", "lists no image"),
        ("file,dx,split\n1,a,holdout\n", "line 2: unknown split 'holdout'; allowed are train"),
    ],
)
def test_a_faulty_csv_is_refused_with_its_line(tmp_path, text, message):
    write_image(tmp_path / "1.png")
    columns = described(tmp_path, text, split="split" if "split" in text else None)
    with pytest.raises(UserError, match=message):
        table_of(tmp_path, columns)


def test_a_csv_that_is_not_utf_8_is_refused(tmp_path):
    columns = described(tmp_path, "")
    columns.images_csv.write_bytes("file,dx\n1,nävus\n".encode("latin-1"))
    with pytest.raises(UserError, match="not UTF-8"):
        table_of(tmp_path, columns)


def test_listed_images_without_a_file_are_counted(tmp_path):
    write_image(tmp_path / "1.png")
    columns = described(tmp_path, "file,dx\n1,a\n2,b\n")
    with pytest.raises(UserError, match=r"1 of 2 images listed in .*images.csv are missing"):
        prepare("folder", DataSource(tmp_path, columns=columns), 8)


def test_a_name_that_two_files_have_is_refused(tmp_path):
    write_image(tmp_path / "x" / "1.png")
    write_image(tmp_path / "y" / "1.png")
    columns = described(tmp_path, "file,dx\n1,a\n")
    with pytest.raises(UserError, match="Image 1 could be x/1.png and y/1.png"):
        prepare("folder", DataSource(tmp_path, columns=columns), 8)


def test_rare_classes_are_dropped_or_merged_when_told_to(tmp_path):
    for name, n in (("a", 3), ("b", 1), ("c", 1), ("d", 2)):
        for i in range(n):
            write_image(tmp_path / name / f"{i}.png", value=50 * "abcd".index(name))
    dropped = prepare("folder", DataSource(tmp_path, rare_classes="drop", rare_below=2), 8)
    assert dropped.table.class_names == ("a", "d")
    assert dropped.read(np.arange(5))[:, 0, 0, 0].tolist() == [0, 0, 0, 150, 150]
    merged = prepare("folder", DataSource(tmp_path, rare_classes="merge", rare_below=2), 8)
    assert merged.table.class_names == ("a", "d", "other")
    assert np.bincount(merged.table.labels).tolist() == [3, 2, 2]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_without_read_permission_is_named(tmp_path):
    write_image(tmp_path / "a" / "1.png")
    (tmp_path / "a").chmod(0)
    try:
        with pytest.raises(UserError, match="Permission denied"):
            prepare("folder", DataSource(tmp_path), 8)
    finally:
        (tmp_path / "a").chmod(0o755)
