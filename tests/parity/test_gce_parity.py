"""peterlipan/LMD @ 0d632d31e4, utils/loss.py: GCELoss."""

import pytest
import torch

from lmd_bench.methods.calibration._losses import generalised_cross_entropy
from tests.parity.cases import arrays, assert_close

CASE = arrays("gce")


@pytest.mark.parametrize(("q", "name"), [(0.7, "q0p7"), (0.3, "q0p3"), (1.0, "q1p0")])
def test_value_and_gradient_are_theirs(q, name):
    logits = CASE["logits"].clone().requires_grad_()
    loss = generalised_cross_entropy(logits, CASE["labels"], q)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert_close(loss, CASE[name])
    assert_close(gradient, CASE[f"grad_{name}_logits"])
