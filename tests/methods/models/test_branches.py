"""Encoders whose last layers exist several times."""

import pytest
import torch

from lmd_bench.methods.models.branches import BranchedEncoder
from lmd_bench.methods.models.encoder import parameter_groups
from lmd_bench.methods.models.heads import CosineHead, ExpertsHead
from tests import tiny


@pytest.mark.parametrize("last", ["stage", "block"])
def test_each_branch_starts_as_the_whole_encoder(last):
    images = torch.randn(2, 3, 32, 32)
    whole = tiny.model().encoder.eval()
    expected = whole(images)
    branched = BranchedEncoder(whole, 3, last).eval()
    assert torch.allclose(branched(images), expected.repeat(1, 3), atol=1e-6)
    for features in branched.each([images] * 3):
        assert torch.allclose(features, expected, atol=1e-6)


def test_branches_share_all_but_their_last_layers():
    one, three = (
        sum(p.numel() for p in BranchedEncoder(tiny.model().encoder, n, "block").parameters())
        for n in (1, 3)
    )
    block = sum(p.numel() for p in tiny.model().encoder.network.layer4[1].parameters())
    assert three - one == 2 * block


@pytest.mark.parametrize("last", ["stage", "block"])
def test_branches_learn_alike_and_slower_the_lower_a_layer_lies(last):
    branched = BranchedEncoder(tiny.model().encoder, 3, last)
    groups = parameter_groups(branched, lr=1.0, layer_decay=0.5)
    lrs = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    assert lrs.keys() == {id(parameter) for parameter in branched.parameters()}
    assert [group["lr"] for group in groups] == [0.5**depth for depth in range(len(groups))]
    own = [
        [lrs[id(parameter)] for parameter in branch.parameters()] for branch in branched.branches
    ]
    assert own[0] == own[1] == own[2]
    depths = [1.0, 0.5] if last == "stage" else [1.0]  # of a ResNet-18's blocks
    assert sorted(set(own[0]), reverse=True) == depths
    assert max(lrs[id(parameter)] for parameter in branched.shared.parameters()) == 0.5 * depths[-1]


def test_experts_heads_are_cosine_heads_side_by_side():
    head = ExpertsHead(6, 4, 20.0, 2)
    features = torch.rand(5, 6)
    for n, found in enumerate(head.each(features)):
        alone = CosineHead(3, 4, 20.0)
        alone.weight.data = head.weight.data[:, 3 * n : 3 * n + 3]
        assert torch.allclose(found, alone(features[:, 3 * n : 3 * n + 3]), atol=1e-5)
    assert torch.allclose(head(features), head.each(features).mean(dim=0))
