"""Heads as data: what a kept model is rebuilt from."""

import json
import sys

import pytest
import torch
from torch import nn

from lmd_bench.methods.models import heads
from lmd_bench.methods.models.described import UndescribedHeadError, build, describe

LABELS = torch.tensor([0, 1, 2, 0, 1])


class HomeMade(nn.Linear):
    def declared(self):
        return {"in_features": self.in_features, "out_features": self.out_features}


class Silent(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3, 4))


def _heads() -> list[nn.Module]:
    features = torch.rand(5, 4)
    scaled = heads.ScaledHead(heads.CosineHead(4, 3, 16.0), 3)
    neighbours = heads.NeighboursHead.of(features, LABELS, 3, torch.tensor([1.0, 2.0, 3.0]))
    neighbours.k = 3
    return [
        nn.Linear(4, 3),
        nn.Linear(4, 3, bias=False),
        heads.CosineHead(4, 3, 16.0),
        heads.ExpertsHead(4, 3, 16.0, 2),
        scaled,
        heads.AlignedHead(nn.Linear(4, 3), 4, 3),
        heads.PowerHead(nn.Linear(4, 3), 0.5),
        heads.MeansHead(4, 3, "centred_l2", "squared"),
        neighbours,
    ]


def _drawn(head: nn.Module) -> nn.Module:
    rng = torch.Generator().manual_seed(0)
    for tensor in head.state_dict().values():
        tensor.copy_(torch.rand(tensor.shape, generator=rng))
    return head


@pytest.mark.parametrize("head", _heads(), ids=lambda head: type(head).__name__)
def test_a_head_is_rebuilt_from_json_and_its_tensors(head: nn.Module):
    _drawn(head)
    text = json.dumps(describe(head))
    again = build(json.loads(text))
    again.load_state_dict(head.state_dict())
    features = torch.rand(7, 4)
    with torch.no_grad():
        assert torch.equal(head(features), again(features))


def test_every_head_of_the_package_can_be_described():
    classes = {
        value
        for value in vars(heads).values()
        if isinstance(value, type) and issubclass(value, nn.Module)
    }
    assert classes == {type(head) for head in _heads()} - {nn.Linear}


def test_a_head_of_a_plug_in_is_found_in_its_file():
    here = sys.modules[__name__]
    head = HomeMade(4, 3)
    description = describe(head, [here])
    assert type(build(description, [here])) is HomeMade
    with pytest.raises(UndescribedHeadError, match="HomeMade"):
        build(description)


def test_a_head_that_says_nothing_of_itself_is_refused_by_name():
    with pytest.raises(UndescribedHeadError, match="Silent has no method `declared`"):
        describe(Silent(), [sys.modules[__name__]])
