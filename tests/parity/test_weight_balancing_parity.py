"""ShadeAlsha/LTR-weight-balancing @ e89f29273d: MaxNorm_via_PGD, and CB_loss of type softmax."""

import pytest
import torch

from lmd_bench.methods.calibration.weight_balancing import (
    bound_norms,
    class_balanced_bce,
    norm_bound,
)
from lmd_bench.methods.class_weights import effective_number_weights
from tests.parity.cases import arrays, assert_close

CASE = arrays("weight_balancing")


@pytest.mark.parametrize("row", range(4))
def test_bound_and_projected_weights_are_theirs(row):
    weight = torch.nn.Parameter(CASE["weight"].clone())
    bound = norm_bound(weight, float(CASE["thresholds"][row]))
    assert bound == pytest.approx(float(CASE["bounds"][row]), rel=1e-9)
    bound_norms(weight, bound)
    assert_close(weight, CASE["projected"][row])


def test_value_and_gradient_of_the_loss_are_theirs():
    weights = effective_number_weights(CASE["counts"], 0.9999)
    logits = CASE["logits"].clone().requires_grad_()
    loss = class_balanced_bce(logits, CASE["labels"], weights)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert_close(loss, CASE["loss"], 1e-6)  # the weights are float32
    assert_close(gradient, CASE["grad_logits"], 1e-6)
