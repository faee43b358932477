"""facebookresearch/classifier-balancing @ f162adef63, tau_norm.py."""

import torch

from lmd_bench.methods.calibration.tau_norm import Config, normalised_weights
from tests.parity.cases import arrays, assert_close

CASE = arrays("tau_norm")


def test_the_weights_are_theirs():
    assert_close(normalised_weights(CASE["weight"], CASE["stored_taus"]), CASE["weights"])


def test_the_decisions_over_our_grid_are_theirs_over_theirs():
    grid = torch.linspace(0.0, Config().tau_max, Config().tau_steps, dtype=torch.float64)
    assert_close(grid, CASE["taus"])
    logits = torch.einsum("nc,tkc->tnk", CASE["features"], normalised_weights(CASE["weight"], grid))
    assert torch.equal(logits.argmax(dim=2), CASE["predictions"])
