import numpy as np
import pytest
import torch

from lmd_bench.methods.representation.influence_balanced import influence
from tests.methods.representation.criteria import (
    COUNTS,
    FEATURES,
    LABELS,
    LOGITS,
    criterion,
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
    weights = np.array([1 / 100, 1 / 20, 1 / 4]) * 124 / 3  # mean 1 over the training images
    expected = (weights[y] * norms.mean() * factors * cross_entropies(LOGITS)).mean()
    assert value("influence_balanced", step=5) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("n_fitted", [0, 100, 120])
def test_the_gradient_keeps_its_size_when_the_factors_begin(n_fitted: int):
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(3).repeat_interleave(COUNTS)  # the training set as one batch
    features = torch.rand(124, 2, generator=rng)
    logits = torch.randn(124, 3, generator=rng)
    logits[:n_fitted] = 20.0 * torch.eye(3)[labels[:n_fitted]]
    norms: list[float] = []
    for step in (4, 5):
        given = logits.clone().requires_grad_()
        loss = criterion("influence_balanced").criterion(features, given, labels, step)
        norms.append(float(torch.autograd.grad(loss, given)[0].norm()))
    assert 1 / 5 < norms[1] / norms[0] < 5
