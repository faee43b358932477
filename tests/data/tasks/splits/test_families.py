import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.data.tasks.splits.families import families


def names_in(folder, *files):
    for file in files:
        (folder / file).write_text("x")
    return [{split: file.name for split, file in f.files.items()} for f in families(folder)]


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train.txt", "valid.txt", "test.txt"),
        ("train.csv", "dev.csv", "test.csv"),
        ("Train.csv", "Val.csv", "Test.csv"),
        ("training.tab", "validation.tab", "testing.tab"),
        ("train_100.npy", "val_100.npy", "test_100.npy"),
        ("dermamnist_train.npy", "dermamnist_val.npy", "dermamnist_test.npy"),
        ("trainLabels.csv", "valLabels.csv", "testLabels.csv"),
        ("fold0.train.tsv", "fold0.val.tsv", "fold0.test.tsv"),
    ],
)
def test_files_whose_names_differ_by_the_split_are_one_split(tmp_path, train, val, test):
    expected = {"train": train, "val": val, "test": test}
    assert names_in(tmp_path, train, val, test, "dic.npy", "overall.csv", "retrained.csv") == [
        expected
    ]


def test_a_split_may_have_no_val_or_no_test(tmp_path):
    assert names_in(tmp_path, "train.csv", "test.csv") == [
        {"train": "train.csv", "test": "test.csv"}
    ]
    (tmp_path / "test.csv").unlink()
    assert names_in(tmp_path, "val.csv") == [{"train": "train.csv", "val": "val.csv"}]
    (tmp_path / "val.csv").unlink()
    assert names_in(tmp_path, "train_2.csv") == []


def test_beside_a_whole_split_a_part_of_one_is_not_meant(tmp_path):
    (whole,) = names_in(tmp_path, "train.csv", "val.csv", "test.csv", "train_x.csv", "val_x.csv")
    assert whole["train"] == "train.csv"


def test_two_files_for_one_part_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"val.txt and valid.txt, which mean the same part"):
        names_in(tmp_path, "train.txt", "val.txt", "valid.txt", "test.txt")


def test_one_file_names_the_split_that_it_is_of(tmp_path):
    names_in(tmp_path, *(f"{s}_{n}.txt" for s in ("train", "val", "test") for n in (1, 2)))
    (family,) = families(tmp_path / "test_2.txt")
    assert family.first.name == "train_2.txt"
