from collections import Counter

import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.data.tasks.splits.hyper_kvasir_folds import fold_roles, read_folds


def test_of_five_folds_one_is_test_the_next_val_and_three_are_train():
    assert fold_roles(5, 0) == ("test", "val", "train", "train", "train")
    assert fold_roles(5, 4) == ("val", "train", "train", "train", "test")


def test_five_folds_give_twenty_splits_before_one_comes_again():
    roles = [fold_roles(5, seed) for seed in range(21)]
    assert len(set(roles)) == 20
    assert roles[20] == roles[0]


def test_of_two_folds_one_is_test_and_the_other_all_train():
    assert fold_roles(2, 0) == ("test", "train")
    assert fold_roles(2, 1) == ("train", "test")


def test_a_fold_file_gives_names_classes_and_roles(tmp_path):
    file = tmp_path / "2_fold_split.csv"
    file.write_text("file-name;class-name;split-index\na.jpg;polyps;0\nb.jpg;cecum;1\n")
    images = read_folds(file, 1).images
    assert [(i.name, i.split, i.label) for i in images] == [
        ("a.jpg", "train", "polyps"),
        ("b.jpg", "test", "cecum"),
    ]


def test_one_fold_is_refused(tmp_path):
    file = tmp_path / "5_fold_split.csv"
    file.write_text("file-name;class-name;split-index\na.jpg;polyps;0\n")
    with pytest.raises(UserError, match="has one fold"):
        read_folds(file, 0)


def test_the_official_five_folds_have_their_counts(shared_data):
    images = read_folds(shared_data / "hyper_kvasir" / "5_fold_split.csv", 0).images
    assert Counter(image.split for image in images) == {"test": 2122, "val": 2122, "train": 6418}
