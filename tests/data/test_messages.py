"""What is said of a person's own files is about these files, and says what mends them."""

import numpy as np
import pytest
from PIL import Image

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource, TableColumns, TaskSpec
from lmd_bench.data.csv_rows import read_rows
from lmd_bench.data.datasets import load
from lmd_bench.data.images.named import named_images
from lmd_bench.data.images.prepare import prepare
from lmd_bench.data.tasks.task import build_task
from tests.data.datasets.layouts import write_image


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("LMD_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))


def own(tmp_path, text: str, **columns: str) -> TableColumns:
    file = tmp_path / "list.csv"
    file.write_bytes(text.encode())
    return TableColumns(file, "file", "dx", **columns)


@pytest.mark.parametrize(
    "text",
    [
        "file;dx\n1;a\n2;b\n",
        "file\tdx\n1\ta\n2\tb\n",
        "file, dx\n1, a\n2, b\n",
        "file,dx,\n1,a,\n2,b,\n",
        "file,dx\n1,a,\n2,b,,\n",
        "\ufefffile,dx\r\n1,a\r\n\r\n,\r\n2,b\r\n",
        "\n\nfile,dx\n1,a\n2,b",
        'file,dx,note\n1,a,"two\nlines"\n2,b,x\n',
    ],
)
def test_every_dialect_is_read(tmp_path, text):
    table = load("folder", own(tmp_path, text)).read(tmp_path)
    assert table.image_ids == ("1", "2")
    assert table.class_names == ("a", "b")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("file,dx\n1,a\n\n\n2,\n", 5),
        ("\ufefffile,dx\r\n1,a\r\n\r\n2,\r\n", 4),
        ('file,dx,note\n1,a,"three\n\nlines"\n2,,x\n', 5),
    ],
)
def test_a_line_is_numbered_as_an_editor_shows_it(tmp_path, text, line):
    with pytest.raises(UserError, match=f"list.csv, line {line}: column dx is empty"):
        load("folder", own(tmp_path, text)).read(tmp_path)


def test_the_nearest_column_is_offered_and_no_file_is_called_published(tmp_path):
    with pytest.raises(UserError, match="Did you mean 'DX'") as error:
        load("folder", own(tmp_path, "file;DX\n1;a\n")).read(tmp_path)
    assert "has file, DX between semicolons" in str(error.value)
    assert "published" not in str(error.value)
    for text in ("", "file,dx\n", "file,dx\n1\n"):
        with pytest.raises(UserError) as error:
            load("folder", own(tmp_path, text)).read(tmp_path)
        assert "published" not in str(error.value)


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    with pytest.raises(UserError, match="has the column dx 2 times"):
        load("folder", own(tmp_path, "file,dx,dx\n1,a,b\n")).read(tmp_path)


def test_no_own_file_is_called_published(tmp_path):
    (tmp_path / "x.csv").write_text("f,y\na\n")
    with pytest.raises(UserError, match="line 2: 1 values") as error:
        named_images([tmp_path / "x.csv"])
    assert "published" not in str(error.value)
    (tmp_path / "labels.csv").write_text("image,label\n1,basophil,x\n")
    with pytest.raises(UserError, match="line 2: 3 values") as error:
        load("pbc").read(tmp_path)
    assert "published" not in str(error.value)


def test_a_list_of_images_is_read_with_semicolons_too(tmp_path):
    write_image(tmp_path / "1.png")
    (tmp_path / "x.csv").write_text("f;y\n1;a\n")
    assert named_images([tmp_path / "x.csv"], "f") == [("1", tmp_path / "1.png")]


def test_a_published_file_is_still_called_so(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1\n")
    with pytest.raises(UserError, match="put the published file in its place"):
        read_rows(tmp_path / "x.csv")


def test_a_listed_image_of_an_ending_that_is_not_read_is_said_to_be_there(tmp_path):
    write_image(tmp_path / "1.png")
    (tmp_path / "2.svs").write_bytes(b"x")
    source = DataSource(tmp_path, columns=own(tmp_path, "file,dx\n1,a\n2.svs,b\n"))
    with pytest.raises(UserError, match="first 2.svs; .* 2.svs is there, but no image of its end"):
        prepare("folder", source, 8)


def test_paths_from_the_folder_above_are_told_from_absent_images(tmp_path):
    root = tmp_path / "CheXpert-small"
    for name in ("1", "2"):
        write_image(root / "train" / f"{name}.png")
    lines = "".join(f"CheXpert-small/train/{n}.png,{c}\n" for n, c in ("1a", "2b"))
    columns = own(tmp_path, f"file,dx\n{lines}")
    with pytest.raises(UserError, match=f"from the folder above: name {tmp_path} as data root"):
        prepare("folder", DataSource(root, columns=columns), 8)
    assert len(prepare("folder", DataSource(tmp_path, columns=columns), 8).table) == 2


def test_a_link_to_nothing_is_called_one(tmp_path):
    write_image(tmp_path / "a" / "1.png")
    write_image(tmp_path / "b" / "1.png")
    (tmp_path / "b" / "2.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(UserError, match=r"b/2.png is a link to nothing"):
        prepare("folder", DataSource(tmp_path), 8)


def test_two_files_of_one_name_are_both_named(tmp_path):
    for name in ("a/1.png", "a/1.jpg", "b/1.png"):
        write_image(tmp_path / name)
    with pytest.raises(UserError, match=r"a/1.png: image a/1 was there before, a/1.jpg"):
        load("folder").read(tmp_path)


def test_an_image_of_32_bits_is_to_be_saved_with_fewer(tmp_path):
    for name in "ab":
        write_image(tmp_path / name / "1.png")
    Image.fromarray(np.ones((9, 9), dtype=np.float32)).save(tmp_path / "a" / "2.tif")
    with pytest.raises(UserError, match=r"a/2.tif \(its pixels have 32 bits.* 8 or 16 bits a") as e:
        prepare("folder", DataSource(tmp_path), 8)
    assert "whole copy" not in str(e.value)


def test_a_class_that_a_published_split_lacks_has_advice_that_fits_it(tmp_path):
    text = "file,dx,part\n" + "".join(f"{i},{'ab'[i % 2]},train\n" for i in range(4))
    text += "5,a,val\n6,a,test\n"
    table = load("folder", own(tmp_path, text, split_column="part")).read(tmp_path)
    with pytest.raises(UserError, match="Class b has no image in val; .* --rare-classes drop"):
        build_task(table, TaskSpec("folder", "official"), "x")


def test_paths_from_another_folder_are_told_where_the_images_lie(tmp_path):
    for name in ("1", "2"):
        write_image(tmp_path / "im" / f"{name}.png")
    columns = own(tmp_path, "file,dx\nraw/set/1.png,a\nraw/set/2.png,b\n")
    with pytest.raises(UserError, match=r"im/1.png lies there.* name images by their path"):
        prepare("folder", DataSource(tmp_path, columns=columns), 8)


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_text_of_another_kind_is_to_be_saved_again_and_no_more(tmp_path, encoding):
    columns = own(tmp_path, "")
    columns.images_csv.write_bytes("file,dx\n1,nævus\n2,b\n".encode(encoding))
    with pytest.raises(UserError, match=r"is not UTF-8 text \(.*\); save it as UTF-8\.$"):
        load("folder", columns).read(tmp_path)
