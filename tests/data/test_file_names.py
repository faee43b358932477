"""Names of classes and files as people have them are matched, shown and warned of."""

import os
import sys
import unicodedata

import numpy as np
import pytest

from lmd_bench.core import machine as hardware
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource, TableColumns, TaskSpec
from lmd_bench.data.build import source_notes
from lmd_bench.data.datasets import load
from lmd_bench.data.file_names import is_mask
from lmd_bench.data.images.named import named_images
from lmd_bench.data.images.prepare import prepare
from lmd_bench.data.tasks.task import build_task
from tests.data.datasets.layouts import write_image


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("LMD_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(hardware, "n_cores", lambda: 1)


@pytest.fixture
def latin(tmp_path):
    """Return a folder of two classes, one of which was named on Windows."""
    write_image(tmp_path / "a" / "1.png")
    folder = os.fsencode(tmp_path) + b"/n\xe4vus"
    try:
        os.mkdir(folder)
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    write_image(tmp_path / "t.png")
    (tmp_path / "t.png").rename(os.fsdecode(folder + b"/1.png"))
    return tmp_path


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux alone")
def test_a_name_that_is_not_utf8_is_refused_with_what_renames_it(latin):
    with pytest.raises(UserError, match=r"The name .*/n\?vus is not UTF-8 .* convmv") as error:
        prepare("folder", DataSource(latin), 8)
    str(error.value).encode()  # can be printed
    with pytest.raises(UserError, match="is not UTF-8"):
        named_images([latin])
    with pytest.raises(UserError, match="is not UTF-8"):
        load("ham10000").read(latin / os.fsdecode(b"n\xe4vus"))


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux alone")
def test_a_file_that_is_no_image_may_have_any_name(latin):
    os.rename(os.fsencode(latin) + b"/n\xe4vus", os.fsencode(latin) + b"/b")
    with open(os.fsencode(latin) + b"/b/n\xe4.t\xe4t", "w") as stream:
        stream.write("x")
    (note,) = source_notes(["folder"], DataSource(latin))
    assert "1 .t?t" in note


@pytest.mark.parametrize(("on_disk", "in_csv"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_names_in_two_unicode_forms_are_one(tmp_path, on_disk, in_csv):
    name = "n\u00e4vus"
    for i in range(2):
        write_image(tmp_path / unicodedata.normalize(on_disk, name) / f"\u00e9{i}.png")
    lines = [f"{name}/\u00e9{i}.png,{'ab'[i]}" for i in range(2)]
    (tmp_path / "list.csv").write_text(unicodedata.normalize(in_csv, "\n".join(["f,y", *lines])))
    columns = TableColumns(tmp_path / "list.csv", "f", "y")
    table = prepare("folder", DataSource(tmp_path, columns=columns), 8).table
    assert len(table) == 2


def test_blanks_at_the_ends_of_names_are_taken(tmp_path):
    for name in (" 1 .png", "2 .png", "x /3.png"):
        write_image(tmp_path / name)
    (tmp_path / "list.csv").write_text("f,y\n 1 .png,a\n2 ,b\nx /3.png,b\n")
    columns = TableColumns(tmp_path / "list.csv", "f", "y")
    paths = load("folder", columns).paths(tmp_path, load("folder", columns).read(tmp_path))
    assert [path.name for path in paths] == [" 1 .png", "2 .png", "3.png"]


def test_a_name_that_looks_like_two_files_is_refused(tmp_path):
    for name in ("1 .png", " 1.png", "2.png"):
        write_image(tmp_path / name)
    (tmp_path / "list.csv").write_text("f,y\n1,a\n2,b\n")
    source = DataSource(tmp_path, columns=TableColumns(tmp_path / "list.csv", "f", "y"))
    with pytest.raises(UserError, match=r"Image 1 could be  1.png and 1 .png"):
        prepare("folder", source, 8)


@pytest.mark.parametrize(
    "names", [("Nevus", "nevus"), ("nevus", "nevus "), ("n\u00e4", "na\u0308"), ("a  b", "a b")]
)
def test_classes_that_look_alike_are_two_and_said(tmp_path, names):
    for name in (*names, "other one"):
        write_image(tmp_path / name / "1.png")
    assert load("folder").read(tmp_path).class_names == tuple(sorted((*names, "other one")))
    (note,) = source_notes(["folder"], DataSource(tmp_path))
    assert all(repr(name) in note for name in names)
    assert "are 2 classes" in note
    assert "other" not in note


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("benign (1)_mask.png", True),
        ("benign (1)_mask_1.png", True),
        ("ISIC_0024306_segmentation.png", True),
        ("a-Mask.PNG", True),
        ("masked.png", False),
        ("mask.png", False),
        ("a_mask_b.png", False),
    ],
)
def test_a_mask_is_told_by_the_end_of_its_name(name, expected):
    assert is_mask(name) is expected


def test_the_numbers_of_classes_stay_as_they_were_whatever_order_is_shown(tmp_path):
    for k in range(12):
        for i in range(8):
            write_image(tmp_path / str(k) / f"{i}.png")
    table = load("folder").read(tmp_path)
    order = ("0", "1", "10", "11", "2", "3", "4", "5", "6", "7", "8", "9")
    assert table.class_names == order
    assert [table.class_names[n] for n in table.labels[::8]] == list(order)
    task = build_task(table, TaskSpec("folder", "balanced_v2"), "data")
    # As version 0.1.0 had it: rows made by then go on.
    assert task.fingerprint == "9fff04986c8c08eebb2a"
    assert np.bincount(table.labels).tolist() == [8] * 12
