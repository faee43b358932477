import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lmd_bench.methods.representation._base import Targets
from lmd_bench.methods.representation.proco_medical import (
    Config,
    ProcoMedical,
    adversarial_cosines,
    moved_prototypes,
    prototype_contrast,
)
from tests import tiny

ANGLES = torch.tensor([0.3, 1.0, 2.5])
PROTOTYPES = torch.stack([ANGLES.cos(), ANGLES.sin()], dim=1)
QUERY, LABEL = torch.tensor([[1.0, 0.0]]), torch.tensor([1])


def test_the_adversary_turns_the_own_prototype_away_and_the_others_near():
    found = adversarial_cosines(QUERY, LABEL, PROTOTYPES, 0.2)
    assert torch.allclose(found, torch.tensor([[0.1, 1.2, 2.3]]).cos(), atol=1e-4)


def test_without_an_adversary_the_cosines_are_plain():
    found = adversarial_cosines(QUERY, LABEL, PROTOTYPES, 0.0)
    assert torch.allclose(found, QUERY @ PROTOTYPES.T, atol=1e-4)


def test_the_contrast_is_that_of_the_equation():
    keys = torch.tensor([[0.6, 0.8], [0.0, 1.0], [1.0, 0.0]])
    cosines = torch.tensor([[0.9, 0.5, -0.8]])
    labels = torch.tensor([0, 1, -1])  # the second is of the own class, the third is empty
    found = prototype_contrast(cosines, QUERY, LABEL, keys, labels, 0.5)
    total = np.exp(np.array([0.9, 0.5, -0.8, 0.6]) / 0.5).sum()
    assert float(found) == pytest.approx(-np.log(np.exp(0.5 / 0.5) / total), rel=1e-5)


def test_prototypes_move_on_their_own_images_alone():
    keys = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    moved = moved_prototypes(PROTOTYPES, keys, torch.tensor([0, 0]), 0.9)
    expected = F.normalize(0.9 * PROTOTYPES[0] + torch.tensor([0.0, 0.1]), dim=0)
    assert torch.allclose(moved[0], expected, atol=1e-6)
    assert torch.equal(moved[1:], PROTOTYPES[1:])


def test_without_contrast_it_is_cross_entropy():
    network, labels = tiny.model().eval(), torch.tensor([0, 1, 2, 0])
    method = ProcoMedical(Config(contrast_weight=0.0), network, torch.tensor([24, 12, 3]), 4, 0)
    views = [torch.randn(4, 3, 16, 16) for _ in range(2)]
    expected = F.cross_entropy(network(views[0])[1], labels)
    assert method.loss(views, Targets(labels), 0).item() == pytest.approx(expected.item(), rel=1e-4)


def test_the_first_prototypes_follow_from_the_seed():
    first, again, other = (
        ProcoMedical(Config(), tiny.model(), torch.tensor([24, 12, 3]), 4, seed).prototypes
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
