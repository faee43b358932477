"""Every head against its formula, written out."""

import math
from collections.abc import Callable
from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lmd_bench.methods.models import heads


def draws(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "make",
    [
        lambda: heads.CosineHead(4, 3, scale=2.0),
        lambda: heads.ExpertsHead(8, 3, scale=2.0, n_experts=2),
    ],
)
def test_the_bias_of_a_cosine_head_is_added_is_stored_and_is_not_trained(
    make: Callable[[], nn.Module],
):
    head = make()
    features = draws(5, head.get_parameter("weight").shape[1])
    before = head(features)
    assert torch.equal(head.get_buffer("bias"), torch.zeros(3))
    assert [name for name, _ in head.named_parameters()] == ["weight"]
    assert set(head.state_dict()) == {"weight", "bias"}
    head.get_buffer("bias").copy_(torch.tensor([1.0, -2.0, 0.5]))
    assert torch.allclose(head(features) - before, torch.tensor([1.0, -2.0, 0.5]).expand(5, 3))


def test_class_weights_point_in_all_directions():
    torch.manual_seed(0)
    weight = heads.CosineHead(3, 4000, scale=1.0).weight
    # a vector of a cube around 0, made of length 1: its mean is 0 and no octant is empty
    assert weight.mean(dim=0).abs().max() < 0.05
    octants = (weight > 0).long() @ torch.tensor([1, 2, 4])
    assert torch.bincount(octants, minlength=8).min() > 4000 / 8 * 0.8


def test_each_expert_has_the_scaled_cosines_of_its_own_features():
    head = heads.ExpertsHead(6, 3, scale=7.0, n_experts=2)
    features = draws(5, 6)
    each = head.each(features)
    assert each.shape == (2, 5, 3)
    for expert, columns in enumerate((slice(0, 3), slice(3, 6))):
        weight = head.weight[:, columns]
        expected = 7 * torch.cosine_similarity(features[:, None, columns], weight[None], dim=2)
        assert torch.allclose(each[expert], expected, atol=1e-5)
    assert torch.allclose(head(features), each.mean(dim=0))


def test_a_scaled_head_multiplies_each_class_and_trains_the_factors_alone():
    inner = nn.Linear(4, 3)
    head = heads.ScaledHead(inner, 3)
    features = draws(5, 4)
    assert torch.equal(head(features), inner(features))
    assert [name for name, p in head.named_parameters() if p.requires_grad] == ["scale"]
    with torch.no_grad():
        head.scale.copy_(torch.tensor([1.0, 2.0, 3.0]))
    assert torch.allclose(head(features), inner(features) * torch.tensor([1.0, 2.0, 3.0]))


def test_an_aligned_head_scales_and_shifts_as_far_as_its_confidence_says():
    inner = nn.Linear(4, 3)
    head = heads.AlignedHead(inner, 4, 3)
    features = draws(5, 4)
    assert torch.allclose(head(features), inner(features))
    assert not any(p.requires_grad for p in inner.parameters())
    with torch.no_grad():
        head.scale.copy_(torch.tensor([1.0, 2.0, 3.0]))
        head.shift.copy_(torch.tensor([0.5, 0.0, -1.0]))
        head.confidence.bias.fill_(math.log(3.0))  # sigma = .75 for every image
    z = inner(features)
    expected = 0.75 * (head.scale * z + head.shift) + 0.25 * z
    assert torch.allclose(head(features), expected, atol=1e-6)


def test_the_signed_power_keeps_signs_and_a_power_head_takes_it_first():
    features = torch.tensor([[4.0, -9.0, 0.0, 1.0]])
    assert heads.signed_power(features, 0.5).tolist() == [[2.0, -3.0, 0.0, 1.0]]
    inner = nn.Linear(4, 3)
    head = heads.PowerHead(inner, 0.5)
    assert torch.equal(head(features), inner(torch.tensor([[2.0, -3.0, 0.0, 1.0]])))


@pytest.mark.parametrize("centring", ["raw", "l2", "centred_l2"])
@pytest.mark.parametrize("distance", ["squared", "cosine"])
def test_a_head_of_means_measures_as_it_says(
    centring: heads.Centring, distance: Literal["squared", "cosine"]
):
    head = heads.MeansHead(4, 3, centring, distance)
    head.mean.copy_(draws(4, seed=1))
    head.means.copy_(draws(3, 4, seed=2))
    features = draws(5, 4)
    compared = {
        "raw": features,
        "l2": F.normalize(features, dim=1),
        "centred_l2": F.normalize(features - head.mean, dim=1),
    }[centring]
    for image in range(5):
        for label in range(3):
            expected = (
                torch.cosine_similarity(compared[image], head.means[label], dim=0)
                if distance == "cosine"
                else -(compared[image] - head.means[label]).square().sum()
            )
            assert torch.allclose(head(features)[image, label], expected, atol=1e-5)


def test_neighbours_of_a_class_without_training_images_get_no_votes():
    head = heads.NeighboursHead.of(torch.eye(3), torch.tensor([0, 0, 1]), 4, None)
    assert head.k == 1
    votes = head(torch.eye(3))
    assert votes.shape == (3, 4)
    assert torch.equal(votes.argmax(dim=1), torch.tensor([0, 0, 1]))
    head.k = 3
    assert torch.allclose(head(torch.eye(3)), head.votes(torch.eye(3), [3])[0])


def test_no_vote_is_a_millionth_of_the_largest_ballot():
    weights = torch.tensor([0.5, 4.0])
    head = heads.NeighboursHead.of(torch.eye(2), torch.tensor([0, 1]), 2, weights)
    assert head.votes(torch.eye(2), [1])[0].exp().tolist() == [
        [pytest.approx(0.5, abs=1e-5), pytest.approx(4e-6, rel=1e-3)],
        [pytest.approx(4e-6, rel=1e-3), pytest.approx(4.0, abs=1e-5)],
    ]


def test_class_means_are_those_of_their_members():
    features, labels = draws(6, 4), torch.tensor([0, 1, 1, 2, 2, 2])
    means = heads.class_means(features, labels)
    assert means.dtype is features.dtype
    for label, members in enumerate((slice(0, 1), slice(1, 3), slice(3, 6))):
        assert torch.allclose(means[label], features[members].mean(dim=0), atol=1e-6)


@pytest.mark.parametrize(
    "head",
    [
        heads.CosineHead(4, 3, scale=2.0),
        heads.ExpertsHead(4, 3, scale=2.0, n_experts=2),
        heads.ScaledHead(nn.Linear(4, 3), 3),
        heads.AlignedHead(nn.Linear(4, 3), 4, 3),
        heads.PowerHead(nn.Linear(4, 3), 0.5),
        heads.MeansHead(4, 3, "l2", "cosine"),
        heads.NeighboursHead.of(torch.eye(4)[:3], torch.tensor([0, 1, 1]), 3, None),
    ],
)
def test_what_a_head_declares_and_its_state_make_it_again(head: nn.Module):
    declared = getattr(head, "declared")()  # noqa: B009 - nn.Module does not know of it
    again = type(head)(**declared)
    again.load_state_dict(head.state_dict())
    assert torch.equal(again(draws(5, 4)), head(draws(5, 4)))
    assert getattr(again, "declared")() == declared  # noqa: B009
