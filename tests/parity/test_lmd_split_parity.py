"""peterlipan/LMD @ 0d632d31e4, prepare_datasets/ISIC2019LT/split.py: construct_LT_dataset.

The rows depend on the generators of pandas and scikit-learn, which have not changed them for years.
"""

import numpy as np
import pytest

from lmd_bench.core.schema import TaskSpec
from lmd_bench.data.table import ImageTable
from lmd_bench.data.tasks.lmd import cut_lmd
from tests.parity.cases import arrays

CASE = arrays("lmd_split")


def table(counts: list[int]) -> ImageTable:
    labels = np.repeat(np.arange(len(counts)), counts)
    ids = tuple(str(row) for row in range(len(labels)))
    return ImageTable(ids, labels, ids, tuple(str(label) for label in range(len(counts))))


@pytest.mark.parametrize("row", range(3))
def test_the_class_counts_of_each_split_of_isic_2019_are_theirs(row):
    images = table(CASE["isic2019_counts"].tolist())
    factor = float(CASE["imbalance_factors"][row])
    split = cut_lmd(images, TaskSpec("isic2019", "lmd", factor, split_seed=42))
    for rows, theirs in zip(
        (split.train, split.test, split.val), CASE["isic2019_split_counts"][row], strict=True
    ):
        assert np.bincount(images.labels[rows]).tolist() == theirs.tolist()


@pytest.mark.parametrize("seed", [42, 7])
def test_the_rows_of_each_split_are_theirs(seed):
    factor = float(CASE["small_imbalance_factor"])
    spec = TaskSpec("isic2019", "lmd", factor, split_seed=seed)
    split = cut_lmd(table(CASE["small_counts"].tolist()), spec)
    for name in ("train", "val", "test"):
        theirs = CASE[f"{name}_rows_seed{seed}"].long()
        assert getattr(split, name).tolist() == theirs.sort().values.tolist()
