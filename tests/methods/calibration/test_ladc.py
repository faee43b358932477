import numpy as np
import torch

from lmd_bench.methods.calibration._gaussians import ClassMoments
from lmd_bench.methods.calibration.ladc import Config, Ladc, borrowed_moments, tail_classes
from lmd_bench.methods.models.heads import PowerHead, signed_power
from tests import tiny
from tests.methods.calibration import features


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
    mean, sigma = borrowed_moments(moments(), 2, 0.5)  # nearest of class 3: 1 and 0
    assert np.allclose(mean[3], 0.5 * np.array([1.0, 0.4]) + 0.5 * np.array([0.5, 0.0]))
    assert np.allclose(sigma(3), (1 + 2 + 4) / 3 * np.eye(2))


def test_head_classes_and_nothing_borrowed_keep_their_means():
    mean, sigma = borrowed_moments(moments(), 1, 0.0)
    assert torch.equal(mean, moments().mean)
    for label in range(3):
        assert torch.equal(sigma(label), moments().covariance[label])


def test_the_signed_power_is_the_power_where_no_feature_is_negative():
    f = torch.rand(5, 4)
    assert torch.equal(signed_power(f, 0.5), f.pow(0.5))
    assert torch.equal(PowerHead(torch.nn.Identity(), 0.25)(f), f.clamp_min(0.0).pow(0.25))


def test_the_signed_power_keeps_what_lies_below_zero():
    f = torch.tensor([[-4.0, 0.0, 9.0]])
    assert signed_power(f, 0.5).tolist() == [[-2.0, 0.0, 3.0]]


def test_features_below_zero_are_told_apart_as_well_as_those_above():
    above, below = features.stage1(), features.stage1()
    below._features = lambda: tuple(-f for f in above.features)
    accuracies = [
        features.val_accuracy(Ladc(Config(tukey=0.5)).fit(given), given) for given in (above, below)
    ]
    assert min(accuracies) > 0.8  # clamped at 0, all of them would be alike


def test_the_features_of_a_resnet_have_the_sign_that_it_declares():
    given = tiny.stage1()
    assert not given.model.signed_features
    assert (given.features[0] >= 0).all()
