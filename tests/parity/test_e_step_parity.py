"""peterlipan/LMD @ 0d632d31e4, stage2.py: e_step, one batch, with backbone relu(x W).

There the head is called without gradient, so that the encoder is trained by FDC alone.
"""

import torch
from torch import nn

from lmd_bench.methods.calibration._gaussians import ClassGaussians
from lmd_bench.methods.calibration._losses import generalised_cross_entropy
from lmd_bench.methods.calibration.icc import Config, e_step_loss
from tests.parity.cases import arrays, assert_close

CASE = arrays("e_step")
GAUSSIANS = ClassGaussians(CASE["mean"].double(), CASE["covariance"].double().__getitem__)
OFFICIAL = Config(
    gce_q=float(CASE["q"]),
    fdc_weight=float(CASE["fdc_weight"]),
    fdc_form="official",
    fdc_normalise=False,
    fdc_clip=0.0,
    estep_gce_grad=False,
)


def head() -> nn.Linear:
    linear = nn.Linear(16, 8, dtype=torch.float64)
    linear.load_state_dict({"weight": CASE["weight"], "bias": CASE["bias"]})
    return linear.requires_grad_(False)


def test_loss_and_gradient_of_the_backbone_are_theirs():
    backbone = CASE["backbone"].clone().requires_grad_()
    features = (CASE["inputs"] @ backbone).relu()
    loss = e_step_loss(OFFICIAL, features, CASE["labels"], GAUSSIANS, head())
    (gradient,) = torch.autograd.grad(loss, backbone)
    assert_close(loss, CASE["loss"])
    assert_close(gradient, CASE["grad_backbone"])
    of_labels = generalised_cross_entropy(head()(features), CASE["labels"], OFFICIAL.gce_q)
    assert_close(of_labels, CASE["label_loss"])
    assert_close((loss - of_labels) / OFFICIAL.fdc_weight, CASE["feature_loss"])
