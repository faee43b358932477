import pytest
import torch

from lmd_bench.methods.representation.resampling import power_weights, progressive_weights
from tests.methods.representation.criteria import COUNTS, criterion, mean_cross_entropy, value


def test_power_weights_give_each_class_n_to_the_q():
    for power in (0.0, 0.5, 1.0):
        drawn = COUNTS * power_weights(COUNTS, power)
        expected = COUNTS.double() ** power
        assert torch.allclose(drawn / drawn.sum(), expected / expected.sum())


def test_progressive_sampling_starts_natural_and_ends_balanced():
    natural, balanced = (COUNTS * progressive_weights(COUNTS, t) for t in (0.0, 1.0))
    assert torch.allclose(natural, COUNTS.double() / COUNTS.sum())
    assert torch.allclose(balanced, torch.full((3,), 1 / 3, dtype=torch.float64))


def test_deferred_sampling_takes_each_image_once_until_its_start():
    method = criterion("resampling", schedule="deferred", start=0.8)
    assert method.draw_weights(0.79) is None
    assert method.draw_weights(0.8) is not None
    assert method.deferral(method.config) == 0.8


def test_the_loss_is_plain_cross_entropy():
    assert value("resampling") == pytest.approx(mean_cross_entropy())
