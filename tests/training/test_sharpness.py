"""The step to where the loss is worst nearby, and back."""

import pytest
import torch
from torch import nn

from lmd_bench.core.schema import no_report
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.training.loop import sharpened, train
from tests import tiny

pytestmark = pytest.mark.usefixtures("narrow_resnets")


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


@pytest.mark.parametrize("name", ["paco", "proco_medical"])
def test_the_second_pass_queues_no_key_again(name):
    train_set, val_set = tiny.sets()
    method = tiny.method(name, torch.bincount(train_set.labels), n_steps=3)
    config = TrainingConfig(batch_size=13, sam_rho=0.05)
    train(method, train_set, val_set, config, 1, 0, no_report)
    queue = method.queue
    keys = queue.keys[queue.labels >= 0]
    assert len(keys) == len(train_set)
    assert len(keys.unique(dim=0)) == len(keys)


def test_the_second_pass_counts_no_image_again():
    train_set, val_set = tiny.sets()
    counts = torch.bincount(train_set.labels)
    method = tiny.method("seesaw", counts, n_steps=3)
    config = TrainingConfig(batch_size=13, sam_rho=0.05)
    train(method, train_set, val_set, config, 1, 0, no_report)
    assert method.seen.tolist() == counts.tolist()
