import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lmd_bench.methods.class_weights import effective_number_weights, ldam_margins
from lmd_bench.methods.representation.ride import Config, Ride, distance_to_mean
from tests import tiny
from tests.methods.representation.criteria import COUNTS, LABELS, LOGITS, softmax

EACH = torch.stack([LOGITS, LOGITS.flip(0), -LOGITS])


def method(**settings) -> Ride:
    return Ride(Config(**settings), tiny.model(), COUNTS, n_steps=10, seed=0)


def test_the_distance_to_the_mean_is_that_of_the_equation():
    mean = softmax(EACH.numpy().mean(axis=0) / 2)
    for expert, found in zip(
        EACH.numpy(), distance_to_mean(EACH, torch.full((3,), 2.0)), strict=True
    ):
        expected = (mean * np.log(mean / softmax(expert / 2))).sum(axis=1).mean()
        assert float(found) == pytest.approx(4 * expected, rel=1e-5)


def test_experts_that_agree_have_no_distance():
    assert distance_to_mean(LOGITS.expand(3, 4, 3), torch.ones(3)).abs().max() < 1e-6


@pytest.mark.parametrize("step", [0, 9])
def test_without_diversity_it_is_ldam_for_each_expert(step: int):
    margin = 30 * ldam_margins(COUNTS, 0.5)[LABELS, None] * F.one_hot(LABELS, 3)
    weights = effective_number_weights(COUNTS, 0.9999) if step == 9 else None
    expected = sum(F.cross_entropy(z - margin, LABELS, weight=weights) for z in EACH)
    found = method(diversity=0.0).criterion(EACH, LABELS, step)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_diversity_rewards_experts_that_differ():
    plain, diverse = (float(method(diversity=d).criterion(EACH, LABELS, 0)) for d in (0.0, -0.5))
    assert diverse < plain


def test_weights_are_deferred():
    assert Ride.deferral(Config()) == 0.8
    assert Ride.deferral(Config(start=1.0)) == 0.0
