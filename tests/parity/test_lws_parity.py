"""facebookresearch/classifier-balancing @ f162adef63: DotProduct_Classifier.

Also dvlab-research/MiSLAS @ 0fc381e333: LearnableWeightScaling.
"""

import torch
import torch.nn.functional as F
from torch import nn

from lmd_bench.methods.models.heads import ScaledHead
from tests.parity.cases import arrays, assert_close

CASE = arrays("lws")


def head() -> ScaledHead:
    linear = nn.Linear(16, 8, dtype=torch.float64)
    linear.load_state_dict({"weight": CASE["weight"], "bias": CASE["bias"]})
    return ScaledHead(linear, 8).double()


def test_it_starts_from_factors_of_one_and_trains_them_alone():
    ours = head()
    assert torch.equal(ours.scale.detach(), CASE["initial_scales"])
    trained = {"weight": ours.head.weight, "bias": ours.head.bias, "scales": ours.scale}
    assert [p.requires_grad for p in trained.values()] == CASE["trainable"].tolist()


def test_logits_loss_and_gradient_are_theirs():
    ours = head()
    with torch.no_grad():
        ours.scale.copy_(CASE["scales"])
    logits = ours(CASE["features"])
    loss = F.cross_entropy(logits, CASE["labels"])
    loss.backward()
    assert_close(logits, CASE["output"])
    assert_close(loss, CASE["cross_entropy"])
    assert_close(ours.scale.grad, CASE["grad_scales"])


def test_the_scaling_of_mislas_is_the_same():
    assert torch.equal(CASE["mislas_initial"][0], head().scale.detach())
    assert_close(CASE["logits"] * CASE["scales"], CASE["mislas_output"])
