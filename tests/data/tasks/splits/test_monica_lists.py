import numpy as np
import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.data.tasks.splits.families import families
from lmd_bench.data.tasks.splits.monica_lists import read_lists, read_text


def write_arrays(folder, before="", after="_100"):
    for split in ("train", "val", "test"):
        np.save(folder / f"{before}{split}{after}.npy", np.array([f"{split}{after}.jpg"]))


def test_arrays_of_text_give_file_names_without_labels(tmp_path):
    write_arrays(tmp_path)
    images = read_lists(families(tmp_path)[0]).images
    assert [(i.name, i.split, i.label) for i in images] == [
        ("train_100.jpg", "train", None),
        ("val_100.jpg", "val", None),
        ("test_100.jpg", "test", None),
    ]


def test_text_lists_hold_a_path_and_perhaps_a_label(tmp_path):
    (tmp_path / "train.txt").write_text("a/b c.jpg 3\n\n")
    (tmp_path / "val.txt").write_text("d.jpg\n")
    (tmp_path / "test.txt").write_text("e.jpg 0\n")
    images = read_lists(families(tmp_path)[0]).images
    assert [(i.name, i.label) for i in images] == [
        ("a/b c.jpg", "3"),
        ("d.jpg", None),
        ("e.jpg", "0"),
    ]


def test_lists_of_several_factors_are_several_families_and_one_list_names_its_own(tmp_path):
    write_arrays(tmp_path, after="_100")
    write_arrays(tmp_path, after="_500")
    write_arrays(tmp_path, before="dermamnist_", after="")
    assert len(families(tmp_path)) == 3
    (family,) = families(tmp_path / "val_500.npy")
    assert family.files["test"].name == "test_500.npy"


def test_a_pickled_list_is_refused_and_never_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return pytest.fail, ("the list was unpickled",)

    write_arrays(tmp_path)
    np.save(tmp_path / "val_100.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match=r"val_100.npy is no plain array of text.*val_100.txt"):
        read_lists(families(tmp_path)[0])


def test_an_array_of_numbers_is_refused(tmp_path):
    write_arrays(tmp_path)
    np.save(tmp_path / "test_100.npy", np.arange(3))
    with pytest.raises(UserError, match="no plain array of text"):
        read_lists(families(tmp_path)[0])


@pytest.mark.parametrize(
    ("line", "name", "label"),
    [
        ("007-0004-000.jpg 0", "007-0004-000.jpg", "0"),
        ("train/c/x.JPEG\t3", "train/c/x.JPEG", "3"),
        ("a.png,0", "a.png", "0"),
        ("a.png; 0", "a.png", "0"),
        ('"a,b.png",0', "a,b.png", "0"),
        ("a,b.png", "a,b.png", None),
        ("a.png,0,patient 7", "a.png", "0"),
        ("im (1).png", "im (1).png", None),
        ("im (1).png 4", "im (1).png", "4"),
        ("a,b c.webp 4", "a,b c.webp", "4"),
        ("a/0001,0", "a/0001", "0"),
        ("a/0001", "a/0001", None),
    ],
)
def test_a_line_is_an_image_and_perhaps_a_label(tmp_path, line, name, label):
    file = tmp_path / "train.txt"
    for header in ("", "image,label\n"):
        file.write_text(f"{header}{line}\n{line}\n")
        assert {(i.name, i.label) for i in read_text(file, "train")} == {(name, label)}


def test_an_image_of_medmnist_is_its_split_and_row_and_says_its_label(tmp_path):
    for split in ("train", "val", "test"):
        np.save(tmp_path / f"dermamnist_{split}.npy", np.array([f"{split}_27_5.jpg"]))
    images = read_lists(families(tmp_path)[0]).images
    assert [(i.name, i.split, i.label) for i in images] == [
        ("train-000027", "train", "5"),
        ("val-000027", "val", "5"),
        ("test-000027", "test", "5"),
    ]
