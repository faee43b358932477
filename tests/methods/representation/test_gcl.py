import numpy as np
import pytest
import torch

from lmd_bench.methods.representation.gcl import cloud_sizes
from tests.methods.representation.criteria import (
    COUNTS,
    FEATURES,
    LABELS,
    LOGITS,
    criterion,
    mean_cross_entropy,
    value,
)


def test_the_cloud_is_zero_for_the_largest_class_and_one_for_the_smallest():
    expected = np.log(100 / np.array([100, 20, 4])) / np.log(25)
    assert np.allclose(cloud_sizes(COUNTS), expected, atol=1e-6)
    assert cloud_sizes(torch.tensor([5, 5])).tolist() == [0.0, 0.0]


def test_noise_only_lowers_logits_and_not_those_of_the_head():
    head_only, tail_only = torch.tensor([0]), torch.tensor([2])
    method = criterion("gcl", strength=1.0)
    for label, worse in ((head_only, False), (tail_only, True)):
        logits = torch.zeros(1, 3)
        loss = method.criterion(torch.ones(1, 2), logits, label, 3)
        assert (loss > np.log(3)) == worse


def test_without_noise_it_is_cross_entropy():
    assert value("gcl", strength=0.0) == pytest.approx(mean_cross_entropy(), rel=1e-5)


def test_noise_repeats_with_the_seed_and_is_fresh_at_each_call():
    method = criterion("gcl", seed=1)
    first, second = (float(method.criterion(FEATURES, LOGITS, LABELS, 1)) for _ in range(2))
    assert first == value("gcl", seed=1) != second
