"""peterlipan/LMD @ 0d632d31e4, stage2.py: m_step; and the steps of a pass over its virtual set.

Ours draws logits in place of features. That its gradient is, in expectation, the one of features
drawn as here is what test_m_step.py asserts; here the two ends meet.
"""

import torch
import torch.nn.functional as F
from torch import nn

from lmd_bench.methods.calibration._m_step import sgd_of
from lmd_bench.methods.calibration.icc import Config, steps_of_virtual_set
from tests.parity.cases import arrays, assert_close

CASE = arrays("m_step")


def test_a_pass_over_the_virtual_set_has_as_many_steps_as_theirs():
    ours = [steps_of_virtual_set(int(k), Config().virtual_batch) for k in CASE["classes"]]
    assert ours == CASE["steps_per_em_epoch"].tolist()


def test_three_steps_of_our_optimiser_on_drawn_features_are_theirs():
    head = nn.Linear(16, 8, dtype=torch.float64)
    head.load_state_dict({"weight": CASE["weight"], "bias": CASE["bias"]})
    optimiser = sgd_of(head, float(CASE["lr"]), float(CASE["weight_decay"]))
    total = torch.zeros((), dtype=torch.float64)
    for step, (features, labels) in enumerate(zip(CASE["batches"], CASE["labels"], strict=True)):
        loss = F.cross_entropy(head(features), labels)
        optimiser.zero_grad()
        loss.backward()
        if step == 0:
            assert_close(loss, CASE["loss"])
            assert_close(head.weight.grad, CASE["grad_weight"])
            assert_close(head.bias.grad, CASE["grad_bias"])
        optimiser.step()
        total += loss.detach()
    assert_close(total, CASE["summed_loss_of_three_steps"])
    assert_close(head.weight, CASE["weight_after_three_steps"])
    assert_close(head.bias, CASE["bias_after_three_steps"])
