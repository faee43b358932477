"""google-research/google-research, logit_adjustment/main.py @ 1d4d2f1aa6: the post-hoc rule.

Theirs adds 1e-12 to pi^tau.
"""

import pytest
import torch

from lmd_bench.methods.calibration.logit_adjustment import adjusted_logits
from tests.parity.cases import arrays, assert_close

CASE = arrays("logit_adjustment")
LOG_PRIOR = (CASE["counts"] / CASE["counts"].sum().double()).log()


@pytest.mark.parametrize("row", range(6))
def test_logits_and_decisions_are_theirs(row):
    tau = float(CASE["taus"][row])
    ours = adjusted_logits(CASE["logits"], LOG_PRIOR, tau)
    assert_close(ours, CASE["adjusted"][row], 1e-9 if tau <= 1 else 1e-7)
    assert torch.equal(ours.argmax(dim=1), CASE["predictions"][row])


def test_the_pytorch_copy_subtracts_the_same():
    for tau, theirs in zip(
        CASE["pytorch_copy_taus"], CASE["pytorch_copy_adjustments"], strict=True
    ):
        ours = -adjusted_logits(torch.zeros(1, 8, dtype=torch.float64), LOG_PRIOR, float(tau))[0]
        assert_close(ours, theirs, 1e-7)
