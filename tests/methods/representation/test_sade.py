import numpy as np
import pytest
import torch

from lmd_bench.methods.representation.sade import Config, Sade, inverse_prior
from tests import tiny
from tests.methods.representation.criteria import COUNTS, LABELS, LOGITS, cross_entropies

EACH = torch.stack([LOGITS, LOGITS.flip(1), -LOGITS])


def loss(counts=COUNTS, **settings) -> float:
    return float(Sade(Config(**settings), tiny.model(), counts, 10, 0).criterion(EACH, LABELS, 0))


def test_the_inverse_prior_swaps_the_shares_of_large_and_small_classes():
    prior = torch.tensor([0.2, 0.7, 0.1])
    assert inverse_prior(prior).tolist() == pytest.approx([0.2, 0.1, 0.7])


def test_the_loss_is_that_of_the_equations():
    prior = COUNTS.numpy() / COUNTS.numpy().sum()
    shifts = (0 * prior, np.log(prior), np.log(prior) - 1.5 * np.log(prior[::-1]))
    expected = sum(
        cross_entropies(z + shift).mean() for z, shift in zip(EACH.numpy(), shifts, strict=True)
    )
    assert loss(tau=1.5) == pytest.approx(expected, rel=1e-5)


def test_on_even_classes_every_expert_has_plain_cross_entropy():
    expected = sum(cross_entropies(z).mean() for z in EACH)
    assert loss(counts=torch.tensor([8, 8, 8])) == pytest.approx(expected, rel=1e-5)
