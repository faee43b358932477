import numpy as np
import pytest
import torch

from lmd_bench.methods.calibration.knn import Config, Knn
from lmd_bench.methods.models.heads import NeighboursHead
from tests.methods.calibration import features


def test_votes_are_counted_among_the_nearest_by_cosine():
    train = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    head = NeighboursHead.of(train, torch.tensor([0, 0, 1]), 2, None)
    votes = head.votes(torch.tensor([[0.0, 5.0]]), [1, 3]).exp()
    assert np.allclose(votes[:, 0], [[0, 1], [2, 1]], atol=1e-4)


def test_balanced_votes_let_a_rare_class_win_with_fewer_neighbours():
    train = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    weights = torch.tensor([0.5, 1.0])
    head = NeighboursHead.of(train, torch.tensor([0, 0, 1]), 2, weights)
    votes = head.votes(torch.tensor([[0.0, 5.0]]), [3]).exp()
    assert votes[0, 0].tolist() == pytest.approx([1.0, 1.0], abs=1e-4)


def test_all_k_at_once_are_the_same_as_one_by_one():
    f, y = features.drawn((30, 10, 3), 0)
    head = NeighboursHead.of(f, y, 3, None)
    val, _ = features.drawn((5, 5, 5), 1)
    together = head.votes(val, [1, 4, 16])
    for row, k in enumerate((1, 4, 16)):
        assert torch.allclose(together[row], head.votes(val, [k])[0])


def test_k_is_no_larger_than_the_training_set():
    head = Knn(Config(k_max=1000)).fit(features.stage1()).model.head
    assert head.k <= sum(features.COUNTS)
