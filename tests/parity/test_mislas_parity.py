"""dvlab-research/MiSLAS @ 0fc381e333, methods.py: LabelAwareSmoothing, its concave settings.

Theirs spreads a label's share over all K classes, ours over the other K - 1 as the paper says:
equal at shares of (K - 1) / K. The linear, convex and exponential shapes are not built.
"""

import pytest
import torch

from lmd_bench.methods.class_weights import smoothed_cross_entropy, smoothing
from tests.parity.cases import arrays, assert_close

CASE = arrays("mislas")
CONCAVE = (0, 1, 5)


@pytest.mark.parametrize("row", CONCAVE)
def test_the_shares_are_theirs(row):
    ours = smoothing(CASE["counts"], float(CASE["head"][row]), float(CASE["tail"][row]))
    assert_close(ours.double(), CASE["epsilon"][row], 1e-6)  # ours are float32


@pytest.mark.parametrize("row", CONCAVE)
def test_value_and_gradient_are_theirs_at_seven_eighths_of_the_share(row):
    logits = CASE["logits"].clone().requires_grad_()
    shares = CASE["epsilon"][row] * 7 / 8
    loss = smoothed_cross_entropy(logits, CASE["labels"], shares)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert_close(loss, CASE[f"set{row}"])
    assert_close(gradient, CASE[f"grad_set{row}_logits"])


def test_at_the_same_share_ours_smooths_less_of_the_own_class_away():
    ours = smoothed_cross_entropy(CASE["logits"], CASE["labels"], CASE["epsilon"][0])
    assert abs(float(ours / CASE["set0"]) - 1) > 1e-3
