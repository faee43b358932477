import numpy as np
import pytest
import torch

from lmd_bench.methods.class_weights import (
    effective_number_weights,
    inverse_frequency_weights,
    of_mean_one,
)
from tests.methods.representation.criteria import (
    COUNTS,
    LABELS,
    LOGITS,
    cross_entropies,
    mean_cross_entropy,
    value,
)


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


def test_the_loss_is_the_mean_of_weighted_cross_entropies():
    weights = np.asarray(effective_number_weights(COUNTS, 0.99))
    mean_weight = (np.asarray(COUNTS) / 124 * weights).sum()
    expected = (weights[LABELS] * cross_entropies(LOGITS)).mean() / mean_weight
    assert value("class_balanced", beta=0.99) == pytest.approx(expected, rel=1e-5)


def test_deferred_weights_wait_for_their_start():
    assert value("class_balanced", step=7, start=0.8) == pytest.approx(mean_cross_entropy())
    assert value("class_balanced", step=8, start=0.8) != pytest.approx(mean_cross_entropy())
