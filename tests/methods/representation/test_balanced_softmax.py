import numpy as np
import pytest
import torch

from tests.methods.representation.criteria import LABELS, LOGITS, mean_cross_entropy, value


def test_the_loss_is_that_of_the_equation():
    weighted = np.array([100, 20, 4]) * np.exp(LOGITS.double().numpy())
    p = weighted / weighted.sum(axis=1, keepdims=True)
    expected = -np.log(p[np.arange(4), LABELS]).mean()
    assert value("balanced_softmax") == pytest.approx(expected, rel=1e-5)


def test_equal_classes_give_cross_entropy():
    counts = torch.tensor([7, 7, 7])
    assert value("balanced_softmax", counts) == pytest.approx(mean_cross_entropy(), rel=1e-5)


def test_it_is_the_logit_adjusted_loss_with_tau_one():
    assert value("balanced_softmax") == pytest.approx(value("logit_adjusted", tau=1.0), rel=1e-5)
