import numpy as np
import torch

from lmd_bench.methods.calibration.weight_balancing import Config, WeightBalancing, bound_norms
from tests.methods.calibration import features


def test_long_rows_are_shortened_to_the_bound_and_short_ones_kept():
    weight = torch.nn.Parameter(torch.tensor([[3.0, 4.0], [0.3, 0.4]]))
    bound_norms(weight, 1.0)
    assert np.allclose(weight.detach(), [[0.6, 0.8], [0.3, 0.4]])


def test_no_class_weight_ends_longer_than_the_bound():
    given = features.stage1()
    mean_length = float(given.model.head.weight.detach().norm(dim=1).mean())
    head = WeightBalancing(Config(lr=0.1, max_norm=0.5)).fit(given).model.head
    assert head.weight.detach().norm(dim=1).max() <= 0.5 * mean_length * 1.0001
