import numpy as np
import torch

from lmd_bench.methods.calibration._gaussians import ClassMoments
from lmd_bench.methods.calibration.ladc import borrowed_moments, tail_classes


def moments():
    mean = torch.tensor([[0.0, 0.0], [1.0, 0.0], [9.0, 0.0], [1.0, 0.4]], dtype=torch.float64)
    covariance = torch.stack([(i + 1) * torch.eye(2, dtype=torch.float64) for i in range(4)])
    return ClassMoments(mean, covariance, torch.tensor([50, 40, 30, 2]))


def test_the_third_of_classes_with_fewest_images_is_the_tail():
    assert tail_classes(torch.tensor([50, 2, 30, 9, 8, 40])).tolist() == [
        *(False, True, False, False, True, False)
    ]
    assert tail_classes(torch.tensor([5, 2])).tolist() == [False, True]


def test_a_tail_class_moves_towards_its_nearest_heads_and_takes_their_spread():
    found = borrowed_moments(moments(), 2, 0.5)  # nearest of class 3: 1 and 0
    assert np.allclose(found.mean[3], 0.5 * np.array([1.0, 0.4]) + 0.5 * np.array([0.5, 0.0]))
    assert np.allclose(found.covariance[3], (1 + 2 + 4) / 3 * np.eye(2))


def test_head_classes_and_nothing_borrowed_keep_their_means():
    found = borrowed_moments(moments(), 1, 0.0)
    assert torch.equal(found.mean, moments().mean)
    assert torch.equal(found.covariance[:3], moments().covariance[:3])
