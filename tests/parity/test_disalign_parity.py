"""Megvii-BaseDetection: DisAlign @ a2fc3500a1 (segmentation), cvpods @ 2deea5dc65 (classification).

Ours is the form of the segmentation code and of the paper, sigma (a z + b) + (1 - sigma) z. The
classification code has (1 + sigma a) z + sigma b: ours with a raised by 1.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lmd_bench.methods.calibration.disalign import class_weights
from lmd_bench.methods.models.heads import AlignedHead
from tests.parity.cases import arrays, assert_close

CASE = arrays("disalign")


def head(raised: float = 0.0) -> AlignedHead:
    linear = nn.Linear(16, 8, dtype=torch.float64)
    linear.load_state_dict({"weight": CASE["weight"], "bias": CASE["bias"]})
    aligned = AlignedHead(linear, 16, 8).double()
    with torch.no_grad():
        aligned.scale.copy_(CASE["logit_scale"] + raised)
        aligned.shift.copy_(CASE["logit_bias"])
        aligned.confidence.weight.copy_(CASE["confidence_weight"][None])
        aligned.confidence.bias.copy_(CASE["confidence_bias"])
    return aligned


def test_the_logits_are_those_of_the_segmentation_code():
    assert_close(head()(CASE["features"]), CASE["segmentation_output"])


@pytest.mark.parametrize(("rho", "name"), [(1.2, "exp1p2"), (1.0, "exp1p0"), (0.8, "exp0p8")])
def test_the_weights_are_theirs_but_for_their_sum_which_the_loss_divides_out(rho, name):
    theirs = CASE[f"weights_{name}"]
    ours = class_weights(CASE["counts"], rho)
    assert_close(ours / ours.sum(), theirs / theirs.sum(), 1e-6)  # ours are float32


def test_with_the_scale_raised_by_one_it_is_the_classification_code():
    ours = head(raised=1.0)
    logits = ours(CASE["features"])
    loss = F.cross_entropy(logits, CASE["labels"], weight=CASE["weights_exp1p2"])
    loss.backward()
    assert_close(logits, CASE["classification_output"])
    assert_close(loss, CASE["classification_loss"])
    assert_close(ours.scale.grad, CASE["grad_logit_scale"][0])
    assert_close(ours.shift.grad, CASE["grad_logit_bias"][0])
    assert_close(ours.confidence.weight.grad, CASE["grad_confidence_weight"])
    assert_close(ours.confidence.bias.grad, CASE["grad_confidence_bias"])


def test_ours_starts_from_the_stage_one_logits_and_theirs_from_up_to_twice_them():
    fresh = AlignedHead(nn.Linear(16, 8), 16, 8)
    assert torch.equal(fresh.scale.detach(), CASE["initial_scale"][0].float())
    assert torch.equal(fresh.shift.detach(), CASE["initial_bias"][0].float())
    assert not fresh.confidence.weight.any()
    assert (CASE["initial_confidence_weight"] == 0.1).all()
