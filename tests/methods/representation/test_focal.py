import numpy as np
import pytest
import torch

from lmd_bench.methods.representation.focal import focal_losses
from tests.methods.representation.criteria import (
    LOGITS,
    criterion,
    cross_entropies,
    mean_cross_entropy,
    value,
)


def test_the_loss_is_that_of_the_equation():
    losses = cross_entropies(LOGITS)
    expected = ((1 - np.exp(-losses)) ** 2 * losses).mean()
    assert value("focal", gamma=2.0) == pytest.approx(expected, rel=1e-5)


def test_gamma_zero_is_cross_entropy():
    assert value("focal", gamma=0.0) == pytest.approx(mean_cross_entropy(), rel=1e-5)


def test_a_certain_image_counts_nothing_and_has_a_finite_gradient():
    logits = torch.tensor([[90.0, 0.0]], requires_grad=True)
    focal_losses(logits, torch.tensor([0]), 0.5).sum().backward()
    assert torch.isfinite(logits.grad).all()


def test_class_balanced_focal_weighs_the_tail_more():
    tail, head = torch.tensor([2]), torch.tensor([0])
    method = criterion("focal", beta=0.99)
    of = [method.criterion(torch.ones(1, 2), torch.zeros(1, 3), y, 0) for y in (head, tail)]
    assert of[0] < of[1]
