import numpy as np
import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.data.tasks.splits.find import read_published

FOLDS = "file-name;class-name;split-index\na.jpg;polyps;0\nb.jpg;cecum;1\n"


def test_two_fold_files_are_refused_with_both_ways_out_and_one_file_is_taken(tmp_path):
    for n in (2, 5):
        (tmp_path / f"{n}_fold_split.csv").write_text(FOLDS)
    with pytest.raises(UserError, match=r"several splits; .*2_fold_split.csv, .*5_fold_split.csv"):
        read_published(tmp_path, 0)
    assert len(read_published(tmp_path / "5_fold_split.csv", 0).images) == 2


def test_the_lists_of_one_factor_are_found(tmp_path):
    for split in ("train", "val", "test"):
        np.save(tmp_path / f"{split}_100.npy", np.array([split]))
    (tmp_path / "dic.npy").write_bytes(b"never opened")
    assert [image.name for image in read_published(tmp_path, 0).images] == ["train", "val", "test"]


def test_a_folder_without_a_known_split_says_what_is_looked_for(tmp_path):
    with pytest.raises(UserError, match=r"holds no split that is known; it needs training.csv"):
        read_published(tmp_path, 0)


def test_an_absent_folder_is_named(tmp_path):
    with pytest.raises(UserError, match="There is no folder .*/nowhere"):
        read_published(tmp_path / "nowhere", 0)
