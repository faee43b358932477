import numpy as np
import pytest
import torch

from lmd_bench.methods.representation.influence_balanced import influence
from tests.methods.representation.criteria import (
    FEATURES,
    LABELS,
    LOGITS,
    cross_entropies,
    mean_cross_entropy,
    softmax,
    value,
)


def test_influence_is_the_l1_norm_of_the_gradient_in_the_head():
    head = torch.nn.Linear(2, 3, bias=False)
    for row in range(4):
        head.zero_grad()
        logits = head(FEATURES[row : row + 1])
        torch.nn.functional.cross_entropy(logits, LABELS[row : row + 1]).backward()
        found = influence(FEATURES[row : row + 1], logits, LABELS[row : row + 1])
        assert float(found.detach()) == pytest.approx(float(head.weight.grad.abs().sum()), rel=1e-5)


def test_before_its_start_it_is_cross_entropy():
    assert value("influence_balanced", step=4) == pytest.approx(mean_cross_entropy(), rel=1e-5)


def test_the_loss_is_that_of_the_equation():
    p, y = softmax(LOGITS.double().numpy()), LABELS.numpy()
    norms = np.abs(p - np.eye(3)[y]).sum(1) * FEATURES.double().numpy().sum(1)
    factors = 1 / (norms + 1e-3)
    weights = np.array([1 / 100, 1 / 20, 1 / 4])
    weights *= 3 / weights.sum()
    expected = (weights[y] * factors / factors.mean() * cross_entropies(LOGITS)).mean()
    assert value("influence_balanced", step=5) == pytest.approx(expected, rel=1e-4)
