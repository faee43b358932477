import numpy as np
import pytest
import torch

from tests.methods.representation.criteria import (
    LOGITS,
    criterion,
    cross_entropies,
    mean_cross_entropy,
    value,
)


@pytest.mark.parametrize("tau", [0.5, 1.0, 2.0])
def test_the_prior_is_added_in_training(tau):
    adjusted = LOGITS.double().numpy() + tau * np.log(np.array([100, 20, 4]) / 124)
    expected = cross_entropies(adjusted).mean()
    assert value("logit_adjusted", tau=tau) == pytest.approx(expected, rel=1e-5)


def test_tau_zero_is_cross_entropy():
    assert value("logit_adjusted", tau=0.0) == pytest.approx(mean_cross_entropy(), rel=1e-5)


def test_a_rare_class_is_pushed_up_harder_than_in_cross_entropy():
    logits = torch.zeros(1, 3, requires_grad=True)
    label, features = torch.tensor([2]), torch.ones(1, 2)
    criterion("logit_adjusted").criterion(features, logits, label, 0).backward()
    assert logits.grad[0, 2] < -2 / 3  # cross-entropy's


def test_a_negative_tau_is_refused():
    with pytest.raises(ValueError, match="must not be negative"):
        criterion("logit_adjusted", tau=-1.0)
