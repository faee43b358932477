"""peterlipan/LMD @ 0d632d31e4, data/vfc.py: virtual_representations."""

import torch

from lmd_bench.methods.calibration._gaussians import class_moments, fit_gaussians
from tests.parity.cases import arrays, assert_close

CASE = arrays("vfc")
GAUSSIANS = fit_gaussians(
    class_moments(CASE["features"], CASE["labels"], 8),
    "eps",
    float(CASE["eps"]),
    dtype=torch.float64,
)


def test_means_and_covariances_are_theirs():
    assert_close(GAUSSIANS.mean, CASE["mean"], 1e-10)
    assert_close(GAUSSIANS.covariance, CASE["covariance"], 1e-10)


def test_every_class_is_drawn_equally_often_as_there():
    n_each = torch.bincount(CASE["virtual_labels"])
    assert (n_each == n_each[0]).all()
    draws = GAUSSIANS.draw(int(n_each[0]), torch.Generator().manual_seed(0))
    assert draws.shape == (8, int(n_each[0]), 16)
