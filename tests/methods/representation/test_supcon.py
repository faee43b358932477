import torch

from lmd_bench.methods.representation._base import Targets
from lmd_bench.methods.representation.supcon import Config, SupCon
from tests import tiny


def test_the_head_passes_no_gradient_to_the_encoder():
    network = tiny.model()
    method = SupCon(Config(), network, torch.tensor([24, 12, 3]), 4, 0)
    views = [torch.randn(3, 3, 16, 16) for _ in range(2)]
    method.loss(views, Targets(torch.tensor([0, 1, 2])), 0).backward()  # views of one image pair
    of_head = network.head.weight.grad
    assert of_head.any()
    network.zero_grad()
    with torch.no_grad():
        network.head.weight.mul_(100.0)
    method.loss(views, Targets(torch.tensor([0, 1, 2])), 0).backward()
    assert not torch.equal(of_head, network.head.weight.grad)


def test_the_projection_is_trained_and_left_behind():
    network = tiny.model()
    method = SupCon(Config(), network, torch.tensor([24, 12, 3]), 4, 0)
    assert len(list(method.extra.parameters())) > 0
    assert not any("projection" in name for name in network.state_dict())
