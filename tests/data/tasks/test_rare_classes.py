import numpy as np
import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.data.table import ImageTable
from lmd_bench.data.tasks.rare_classes import settle_rare_classes


def table_of(**counts: int) -> ImageTable:
    labels = np.repeat(np.arange(len(counts)), list(counts.values()))
    ids = tuple(f"i{row}" for row in range(len(labels)))
    return ImageTable(ids, labels, ids, tuple(counts))


def test_refuse_leaves_the_table_to_the_protocol():
    table = table_of(a=5, b=1)
    assert settle_rare_classes(table, "refuse", 8)[0] is table


def test_dropped_classes_take_their_images_with_them():
    table, kept = settle_rare_classes(table_of(a=3, b=1, c=2), "drop", 2)
    assert table.class_names == ("a", "c")
    assert table.labels.tolist() == [0, 0, 0, 1, 1]
    assert kept.tolist() == [0, 1, 2, 4, 5]
    assert table.image_ids == ("i0", "i1", "i2", "i4", "i5")


def test_merged_classes_become_the_last_one_and_keep_their_images():
    table, kept = settle_rare_classes(table_of(a=1, b=3, c=1, d=4), "merge", 2)
    assert table.class_names == ("b", "d", "other")
    assert table.labels.tolist() == [2, 0, 0, 0, 2, 1, 1, 1, 1]
    assert len(kept) == 9


def test_nothing_changes_where_no_class_is_rare():
    table = table_of(a=3, b=2)
    assert settle_rare_classes(table, "drop", 2)[0] is table


@pytest.mark.parametrize(
    ("policy", "counts", "message"),
    [
        ("drop", {"a": 3, "b": 1}, "Only 1 class has 2 images or more"),
        ("merge", {"a": 3, "b": 1, "c": 4}, "Class 'b' alone is rare"),
        ("merge", {"other": 3, "b": 1, "c": 1}, "called 'other' already"),
    ],
)
def test_what_cannot_be_settled_is_refused(policy, counts, message):
    with pytest.raises(UserError, match=message):
        settle_rare_classes(table_of(**counts), policy, 2)
