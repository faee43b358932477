import numpy as np
import torch

from lmd_bench.methods.calibration.disalign import Config, DisAlign
from lmd_bench.methods.models.heads import AlignedHead
from tests.methods.calibration import features


def test_it_starts_from_the_stage_one_logits():
    inner = torch.nn.Linear(4, 3)
    f = torch.randn(5, 4)
    assert torch.allclose(AlignedHead(inner, 4, 3)(f), inner(f))


def test_the_logits_are_those_of_the_equation():
    head = AlignedHead(torch.nn.Linear(4, 3), 4, 3)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_()
    f = torch.randn(5, 4)
    z = head.head(f).detach().numpy()
    gate = head.confidence(f).detach().numpy()
    sigma = 1 / (1 + np.exp(-gate))
    a, b = head.scale.detach().numpy(), head.shift.detach().numpy()
    expected = sigma * (a * z + b) + (1 - sigma) * z
    assert np.allclose(head(f).detach(), expected, atol=1e-5)


def test_the_stage_one_head_is_calibrated_and_not_replaced():
    given = features.stage1()
    before = given.model.head.weight.detach().clone()
    head = DisAlign(Config()).fit(given).model.head
    assert torch.equal(head.head.weight, before)
    assert not torch.equal(head.shift, torch.zeros(3))
