import numpy as np

from lmd_bench.data.checks.doubles import Crossing, crossing_groups
from lmd_bench.data.table import ImageTable
from lmd_bench.data.tasks.split import Split, sorted_rows


def make_table(groups):
    ids = tuple(f"i{row}" for row in range(len(groups)))
    return ImageTable(ids, np.zeros(len(groups), dtype=np.int64), tuple(groups), ("a",))


def make_split(train, val, test):
    return Split(sorted_rows(train), sorted_rows(val), sorted_rows(test))


def test_a_lesion_in_train_and_test_is_found_with_its_images_on_either_side():
    table = make_table(["x", "x", "y", "x", "z", "y"])
    found = crossing_groups(table, make_split([0, 1, 2], [4], [3, 5]))
    assert found == (Crossing(("train", "test"), ("x", "y"), (3, 2)),)


def test_a_lesion_in_all_three_splits_counts_for_every_pair():
    found = crossing_groups(make_table(["x", "x", "x"]), make_split([0], [1], [2]))
    assert [c.splits for c in found] == [("train", "val"), ("train", "test"), ("val", "test")]


def test_images_in_no_split_do_not_cross():
    assert crossing_groups(make_table(["x", "x", "y"]), make_split([0], [2], [])) == ()
