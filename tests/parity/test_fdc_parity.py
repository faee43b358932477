"""peterlipan/LMD @ 0d632d31e4, utils/loss.py: FeatureDistributionConsistency.

Theirs is `official` without division by the width; `signed`, our default, is its negative.
"""

import pytest
import torch

from lmd_bench.methods.calibration._gaussians import ClassGaussians
from lmd_bench.methods.calibration._losses import feature_distribution_consistency
from tests.parity.cases import arrays, assert_close

CASE = arrays("fdc")
GAUSSIANS = ClassGaussians(CASE["mean"].double(), CASE["covariance"].double().__getitem__)


def test_the_distances_are_theirs():
    assert_close(GAUSSIANS.mahalanobis(CASE["features"]), CASE["squared_distance"])


@pytest.mark.parametrize(
    ("form", "normalise", "factor"),
    [("official", False, 1), ("signed", False, -1), ("signed", True, -1 / 16)],
)
def test_value_and_gradient_are_theirs_times_what_the_switches_say(form, normalise, factor):
    features = CASE["features"].clone().requires_grad_()
    loss = feature_distribution_consistency(
        features, CASE["labels"], GAUSSIANS, form, normalise=normalise
    )
    (gradient,) = torch.autograd.grad(loss, features)
    assert_close(loss, factor * CASE["loss"])
    assert_close(gradient, factor * CASE["grad_features"])
