"""Cross-validation: each image is test in one fold, and no lesion lies in two splits."""

import numpy as np
import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import TaskSpec
from lmd_bench.data.table import ImageTable
from lmd_bench.data.tasks.protocols import cut

SIZES = (60, 40, 20)


def table(lesion_of_two: int = 2) -> ImageTable:
    """Return three classes whose images lie in lesions of so many."""
    labels = np.repeat(np.arange(3), SIZES)
    ids = tuple(f"i{number}" for number in range(len(labels)))
    groups = tuple(f"{label}/{n // lesion_of_two}" for n, label in enumerate(labels.tolist()))
    return ImageTable(ids, labels, groups, ("a", "b", "c"))


def splits(n: int, repeat: int = 0):
    return [
        cut(table(), TaskSpec("toy", f"folds_{n}", None, repeat * n + fold, 32, None))
        for fold in range(n)
    ]


@pytest.mark.parametrize("n", [2, 5, 10])
def test_each_image_is_test_in_one_fold(n: int) -> None:
    tested = np.concatenate([split.test for split in splits(n)])
    assert sorted(tested.tolist()) == list(range(sum(SIZES)))


@pytest.mark.parametrize("n", [2, 5])
def test_no_lesion_lies_in_two_splits_of_a_fold(n: int) -> None:
    groups = np.array(table().groups)
    for split in splits(n):
        parts = [set(groups[rows].tolist()) for rows in (split.train, split.val, split.test)]
        assert len(set.union(*parts)) == sum(map(len, parts))
        assert all(parts)


def test_classes_are_dealt_evenly_and_train_has_its_factor() -> None:
    labels = table().labels
    for fold in range(5):
        split = cut(table(), TaskSpec("toy", "folds_5", 5.0, fold, 32, None))
        assert np.bincount(labels[split.test]).tolist() == [12, 8, 4]
        counts = np.bincount(labels[split.train])
        assert counts.max() == 5 * counts.min()


def test_a_repeat_deals_anew() -> None:
    first, again, other = splits(5), splits(5), splits(5, repeat=1)
    assert all(np.array_equal(a.test, b.test) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a.test, b.test) for a, b in zip(first, other, strict=True))
    assert sorted(np.concatenate([s.test for s in other]).tolist()) == list(range(sum(SIZES)))


def test_folds_of_a_large_class_are_cut_to_100_images() -> None:
    labels = np.repeat(np.arange(2), (900, 60))
    ids = tuple(map(str, range(len(labels))))
    large = ImageTable(ids, labels, ids, ("a", "b"))
    split = cut(large, TaskSpec("toy", "folds_5", 20.0, 0, 32, None))
    assert np.bincount(labels[split.test]).tolist() == [100, 12]


def test_a_class_of_fewer_groups_than_folds_is_refused() -> None:
    with pytest.raises(UserError, match="4 groups, too few for 5 folds; give fewer folds"):
        cut(table(5), TaskSpec("toy", "folds_5", 2.0, 0, 32, None))
