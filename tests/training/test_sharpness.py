"""The step to where the loss is worst nearby, and back."""

import pytest
import torch
from torch import nn

from lmd_bench.training.loop import sharpened


def test_parameters_move_by_rho_along_their_gradient_and_come_back_to_the_bit():
    layer = nn.Linear(3, 2)
    layer(torch.ones(1, 3)).square().sum().backward()
    before = [parameter.detach().clone() for parameter in layer.parameters()]
    gradient = torch.cat([parameter.grad.flatten() for parameter in layer.parameters()])
    with sharpened(layer.parameters(), 0.1):
        step = torch.cat(
            [(p.detach() - b).flatten() for p, b in zip(layer.parameters(), before, strict=True)]
        )
        assert float(step.norm()) == pytest.approx(0.1, rel=1e-4)
        assert torch.allclose(step, 0.1 * gradient / gradient.norm(), atol=1e-6)
    for parameter, value in zip(layer.parameters(), before, strict=True):
        assert torch.equal(parameter, value)


def test_a_gradient_of_zero_moves_nothing():
    weight = nn.Parameter(torch.ones(2))
    weight.grad = torch.zeros(2)
    with sharpened([weight], 0.1):
        assert weight.tolist() == [1.0, 1.0]
