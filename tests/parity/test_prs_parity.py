"""lt-project-repository/lt-project @ 1eea15d5af, run_networks.py: evaluation with norm_logits.

Theirs sums over the judged images; ours takes the shares as an argument.
"""

import pytest
import torch

from lmd_bench.methods.calibration.prs import class_shares, rescaled
from tests.parity.cases import arrays, assert_close

CASE = arrays("prs")


@pytest.mark.parametrize("row", range(4))
def test_rescaled_probabilities_and_decisions_are_theirs(row):
    ours = rescaled(
        CASE["logits"].log_softmax(dim=1), CASE["class_sums"], CASE["powers"][row, None]
    )
    assert_close(ours[0].exp(), CASE["rescaled"][row])
    assert torch.equal(ours[0].argmax(dim=1), CASE["predictions"][row])


def test_shares_of_equally_many_images_of_each_class_are_their_sums_over_the_images():
    balanced = torch.arange(8).repeat_interleave(4)
    ours = class_shares(CASE["logits"], balanced)
    assert_close(ours * 32, CASE["class_sums"])
