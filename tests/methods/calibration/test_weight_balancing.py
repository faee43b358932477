import numpy as np
import pytest
import torch

from lmd_bench.methods.calibration.weight_balancing import (
    Config,
    WeightBalancing,
    bound_norms,
    norm_bound,
)
from tests.methods.calibration import features


def test_long_rows_are_shortened_to_the_bound_and_short_ones_kept():
    weight = torch.nn.Parameter(torch.tensor([[3.0, 4.0], [0.3, 0.4]]))
    bound_norms(weight, 1.0)
    assert np.allclose(weight.detach(), [[0.6, 0.8], [0.3, 0.4]])


def test_no_class_weight_ends_longer_than_the_bound_of_the_stage_one_head():
    given = features.stage1()
    bound = norm_bound(given.model.head.weight, 0.3)
    head = WeightBalancing(Config(lr=1.0, max_norm=0.3)).fit(given).model.head
    assert head.weight.detach().norm(dim=1).max() <= bound * 1.0001


def test_the_bound_lies_between_the_shortest_and_the_longest_row():
    weight = torch.tensor([[3.0, 4.0], [0.6, 0.8], [0.0, 2.0]])
    assert [norm_bound(weight, t) for t in (0.0, 0.25, 1.0)] == [1.0, 2.0, 5.0]


def test_a_value_outside_of_zero_to_one_is_refused():
    with pytest.raises(ValueError, match="max_norm"):
        Config(max_norm=1.5)
