"""Weights, margins and smoothing of classes by their counts."""

import numpy as np
import pytest
import torch

from lmd_bench.methods.class_weights import (
    effective_number_weights,
    inverse_frequency_weights,
    of_mean_one,
    smoothing,
)
from tests.methods.representation.criteria import COUNTS


def test_weights_are_those_of_the_paper():
    raw = np.array([(1 - 0.9) / (1 - 0.9**n) for n in (100, 20, 4)])
    expected = raw / raw.sum() * 3
    assert np.allclose(effective_number_weights(COUNTS, 0.9), expected)


def test_beta_zero_weighs_all_alike_and_beta_near_one_inversely():
    assert effective_number_weights(COUNTS, 0.0).tolist() == [1.0, 1.0, 1.0]
    inverse = inverse_frequency_weights(COUNTS, 1.0)
    assert torch.allclose(effective_number_weights(COUNTS, 1 - 1e-9), inverse, rtol=1e-4)


def test_a_rarer_class_weighs_more():
    for weights in (effective_number_weights(COUNTS, 0.99), inverse_frequency_weights(COUNTS, 0.5)):
        assert weights[0] < weights[1] < weights[2]


def test_weights_of_mean_one_average_to_one_over_the_training_images():
    labels = torch.arange(3).repeat_interleave(COUNTS)
    weights = of_mean_one(inverse_frequency_weights(COUNTS, 1.0), COUNTS)
    assert float(weights[labels].mean()) == pytest.approx(1.0)
    assert torch.allclose(weights * COUNTS, (weights * COUNTS)[0].expand(3))


def test_smoothing_runs_from_tail_to_head_along_a_sine():
    smoothed = smoothing(torch.tensor([100, 52, 4]), 0.3, 0.1)
    expected = 0.1 + 0.2 * np.sin(0.5 * np.pi * np.array([1.0, 0.5, 0.0]))
    assert np.allclose(smoothed, expected)


def test_equally_large_classes_are_all_smoothed_as_the_largest():
    assert torch.equal(smoothing(torch.tensor([7, 7]), 0.3, 0.1), torch.tensor([0.3, 0.3]))


def test_one_image_more_makes_the_largest_class():
    assert torch.allclose(smoothing(torch.tensor([3, 2]), 0.3, 0.1), torch.tensor([0.3, 0.1]))
