import pytest
import torch
import torch.nn.functional as F

from lmd_bench.methods.models.heads import CosineHead
from lmd_bench.methods.representation._base import Targets
from lmd_bench.methods.representation.bcl import Bcl, Config
from tests import tiny

COUNTS = torch.tensor([24, 12, 3])
LABELS = torch.tensor([0, 1, 2, 0])


def method(**settings) -> Bcl:
    config = Config(**settings)
    network = tiny.model(make_head=lambda c, k: Bcl.make_head(config, c, k)).eval()
    return Bcl(config, network, COUNTS, 4, 0)


def test_without_contrast_it_is_the_logit_adjusted_loss_of_the_first_view():
    views = [torch.randn(4, 3, 16, 16) for _ in range(3)]
    bcl = method(contrast_weight=0.0)
    logits = bcl.model(views[0])[1]
    expected = F.cross_entropy(logits + (COUNTS / COUNTS.sum()).log(), LABELS)
    found = bcl.loss(views, Targets(LABELS), 0)
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)


def test_the_head_is_cosine_and_the_centres_move_its_weights():
    bcl = method()
    assert isinstance(bcl.model.head, CosineHead)
    views = [torch.randn(4, 3, 16, 16) for _ in range(3)]
    bcl.loss(views, Targets(LABELS), 0).backward()
    assert bcl.model.head.weight.grad.any()
    assert all(p.grad is not None for p in bcl.extra.parameters())
