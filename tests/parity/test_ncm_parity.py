"""facebookresearch/classifier-balancing @ f162adef63: get_knncentroids, KNNClassifier.

`squared` is their `l2`. Their `cos` is g(f) mu_j / C; ours divides by both lengths instead.
"""

import pytest
import torch

from lmd_bench.methods.models.heads import MeansHead, class_means
from tests.parity.cases import arrays, assert_close

CASE = arrays("ncm")
NAMES = {"raw": "un", "l2": "l2n", "centred_l2": "cl2n"}


def head(centring: str, distance: str) -> MeansHead:
    ours = MeansHead(16, 8, centring, distance).double()
    train = CASE["train_features"]
    ours.mean.copy_(train.mean(dim=0))
    ours.means.copy_(class_means(ours.transform(train), CASE["train_labels"]))
    return ours


@pytest.mark.parametrize("centring", NAMES)
def test_means_and_squared_distances_are_theirs(centring):
    ours = head(centring, "squared")
    assert_close(ours.mean, CASE["mean"])
    assert_close(ours.means, CASE[f"means_{NAMES[centring]}"])
    assert_close(ours(CASE["features"]), CASE[f"output_{NAMES[centring]}_l2"])


@pytest.mark.parametrize("centring", NAMES)
def test_their_cosine_is_ours_times_both_lengths_over_the_width(centring):
    ours = head(centring, "cosine")
    lengths = ours.transform(CASE["features"]).norm(dim=1)[:, None] * ours.means.norm(dim=1)
    theirs = CASE[f"output_{NAMES[centring]}_cos"]
    assert_close(ours(CASE["features"]) * lengths / 16, theirs)
    assert not torch.equal(ours(CASE["features"]).argmax(dim=1), theirs.argmax(dim=1))
