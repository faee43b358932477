import random
from dataclasses import replace

import pytest
import torch

from lmd_bench.methods.best_epoch import first_judged
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
    assert method.draw_weights(8, 10) is None
    assert method.draw_weights(9, 10) is not None
    assert method.deferral(method.config) == 0.8


def test_deferred_sampling_begins_with_the_first_epoch_that_may_be_kept():
    method = criterion("resampling", schedule="deferred")
    rng = random.Random(0)
    drawn = [(rng.random(), rng.randint(1, 40)) for _ in range(200)]
    for start, n_epochs in [(0.83, 30), (0.8, 1), *drawn]:
        method.config = replace(method.config, start=start)
        weights = [method.draw_weights(epoch, n_epochs) for epoch in range(1, n_epochs + 1)]
        # Algorithm 1 counts epochs from 0, and re-samples from T0 on.
        t0 = int(start * n_epochs)
        assert [given is None for given in weights] == [epoch < t0 for epoch in range(n_epochs)]
        assert first_judged(start, n_epochs) == t0 + 1


def test_progressive_sampling_is_natural_in_the_first_epoch_and_balanced_in_the_last():
    method = criterion("resampling", schedule="progressive")
    for epoch, share in ((1, 0.0), (3, 0.5), (5, 1.0)):
        assert torch.equal(method.draw_weights(epoch, 5), progressive_weights(COUNTS, share))
    assert torch.equal(method.draw_weights(1, 1), progressive_weights(COUNTS, 0.0))


def test_the_loss_is_plain_cross_entropy():
    assert value("resampling") == pytest.approx(mean_cross_entropy())
