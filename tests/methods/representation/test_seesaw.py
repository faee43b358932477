import numpy as np
import pytest
import torch

from lmd_bench.methods.representation.seesaw import log_seesaw_factors
from tests.methods.representation.criteria import LABELS, LOGITS, mean_cross_entropy, softmax, value


def test_the_loss_is_that_of_the_equation_with_counts_of_what_was_seen():
    z = LOGITS.double().numpy()
    p, y = softmax(z), LABELS.numpy()
    seen = np.array([1.0, 1.0, 2.0])  # this batch is the first
    losses = []
    for i in range(4):
        total = np.exp(z[i, y[i]])
        for j in set(range(3)) - {y[i]}:
            mitigation = min(1.0, seen[j] / seen[y[i]]) ** 0.8
            compensation = max(1.0, p[i, j] / p[i, y[i]]) ** 2.0
            total += mitigation * compensation * np.exp(z[i, j])
        losses.append(np.log(total) - z[i, y[i]])
    assert value("seesaw", p=0.8, q=2.0) == pytest.approx(np.mean(losses), rel=1e-5)


def test_without_exponents_it_is_cross_entropy():
    assert value("seesaw", p=0.0, q=0.0) == pytest.approx(mean_cross_entropy(), rel=1e-5)


def test_a_rarer_class_is_punished_less_and_a_commoner_one_as_before():
    factors = log_seesaw_factors(
        torch.zeros(2, 3), torch.tensor([1, 2]), torch.tensor([100.0, 10.0, 1.0]), 1.0, 0.0
    ).exp()
    assert torch.allclose(factors, torch.tensor([[1.0, 1.0, 0.1], [1.0, 1.0, 1.0]]))


def test_no_gradient_flows_through_the_factors():
    logits = LOGITS.clone().requires_grad_()
    assert not log_seesaw_factors(logits, LABELS, torch.ones(3), 1.0, 1.0).requires_grad
