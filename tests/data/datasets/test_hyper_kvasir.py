import pytest

from lmd_bench.data.datasets import load
from tests.data.datasets.layouts import write


@pytest.mark.parametrize("root", ["x", "x/labeled-images", "."])
def test_the_folder_of_the_labels_and_the_one_above_are_both_taken(tmp_path, root):
    dataset = load("hyper_kvasir")
    write(dataset, tmp_path / "x" if root != "." else tmp_path / "hyper-kvasir")
    table = dataset.read(tmp_path / root)
    assert len(table) == 46
    assert not dataset.missing(tmp_path / root, table).any()
