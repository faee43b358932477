import numpy as np
import torch

from lmd_bench.methods.calibration.lws import Config, Lws
from lmd_bench.methods.models.heads import ScaledHead
from tests.methods.calibration import features


def test_weight_and_bias_are_kept_and_only_the_factors_move():
    given = features.stage1()
    before = {k: v.clone() for k, v in given.model.head.state_dict().items()}
    head = Lws(Config()).fit(given).model.head
    assert all(torch.equal(value, before[key]) for key, value in head.head.state_dict().items())
    assert not torch.equal(head.scale, torch.ones(3))


def test_the_logits_are_scaled_bias_and_all():
    inner = torch.nn.Linear(4, 2)
    head = ScaledHead(inner, 2)
    with torch.no_grad():
        head.scale.copy_(torch.tensor([2.0, 0.5]))
    f = torch.randn(3, 4)
    expected = inner(f).detach().numpy() * np.array([2.0, 0.5])
    assert np.allclose(head(f).detach(), expected, atol=1e-6)
