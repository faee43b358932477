"""peterlipan/LMD @ 0d632d31e4, stage2.py: distribution_ema_update, over six EM epochs."""

import torch

from lmd_bench.methods.calibration._gaussians import ClassMoments
from lmd_bench.methods.calibration.icc import running_mean
from tests.parity.cases import arrays, assert_close

CASE = arrays("ema_statistics")
COUNTS = torch.ones(8, dtype=torch.long)


def test_the_averages_of_means_and_covariances_are_theirs():
    average = None
    for epoch in range(6):
        both = (CASE[f"{name}_sequence"][epoch].clone() for name in ("mean", "covariance"))
        new = ClassMoments(*both, COUNTS)
        average = running_mean(average, new, epoch, decay=0.7)
        assert_close(average.mean, CASE["mean_ema_decay0p7"][epoch], 1e-12)
        assert_close(average.covariance, CASE["covariance_ema_decay0p7"][epoch], 1e-12)


def test_our_share_of_the_new_value_is_theirs_over_1500_epochs():
    ones = torch.ones(1, 1, dtype=torch.float64)
    new = ClassMoments(ones, ones[None], COUNTS[:1])

    def old() -> ClassMoments:
        return ClassMoments(0 * ones, 0 * ones[None], COUNTS[:1])

    shares = [float(running_mean(old(), new, epoch).mean) for epoch in range(1500)]
    assert_close(1 - torch.tensor(shares).double(), CASE["alpha_decay0p999"], 1e-6)
