import math

import numpy as np
import pytest

from lmd_bench.data.checks.class_sizes import ClassSize, class_sizes, smallest_difference
from lmd_bench.data.table import ImageTable
from lmd_bench.data.tasks.split import Split, sorted_rows


def test_sizes_are_counted_in_class_order():
    labels = np.array([1, 0, 1, 1, 0, 1], dtype=np.int64)
    ids = tuple("abcdef")
    split = Split(sorted_rows([0, 1]), sorted_rows([2]), sorted_rows([3, 4]))
    found = class_sizes(ImageTable(ids, labels, ids, ("x", "y")), split)
    assert found == (ClassSize("x", 1, 0, 1), ClassSize("y", 1, 1, 1))


@pytest.mark.parametrize(
    ("n_val", "n_test", "too_small"), [(10, 10, False), (9, 100, True), (100, 9, True)]
)
def test_a_class_below_ten_val_or_test_images_is_too_small(n_val, n_test, too_small):
    assert ClassSize("x", 500, n_val, n_test).too_small == too_small


def test_recall_moves_by_one_image_in_n():
    assert ClassSize("x", 1, 1, 28).recall_step == pytest.approx(0.0357, abs=1e-4)
    assert ClassSize("x", 1, 1, 0).recall_step == math.inf


def test_the_smallest_difference_of_one_class_is_that_of_two_proportions():
    # (1.960 + 0.842) * sqrt(2 * 0.25 / 100) = 2.802 * 0.0707
    assert smallest_difference([100]) == pytest.approx(0.198, abs=5e-4)


def test_k_classes_of_equal_size_show_a_difference_smaller_by_the_root_of_k():
    assert smallest_difference([28] * 4) == pytest.approx(smallest_difference([28]) / 2)


def test_the_smallest_difference_has_eighty_percent_power_in_a_simulation():
    rng = np.random.default_rng(0)
    counts = np.array([60, 40, 200])
    half = smallest_difference(counts.tolist()) / 2
    shape = (20_000, len(counts))
    first = rng.binomial(counts, 0.5 - half, shape) / counts
    second = rng.binomial(counts, 0.5 + half, shape) / counts
    error = math.sqrt((2 * 0.25 / counts).sum()) / len(counts)
    shown = (second.mean(1) - first.mean(1)) / error > 1.96
    assert shown.mean() == pytest.approx(0.8, abs=0.03)


def test_a_class_without_test_images_shows_nothing():
    assert smallest_difference([10, 0]) == math.inf
