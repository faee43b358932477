"""Cosine heads: class weights of length 1 at the start, for each expert by itself."""

import pytest
import torch

from lmd_bench.methods.models.heads import CosineHead, ExpertsHead


@pytest.mark.parametrize("width", [16, 512])
def test_class_weights_start_at_length_one(width: int):
    head = CosineHead(width, 8, scale=30.0)
    assert torch.allclose(head.weight.norm(dim=1), torch.ones(8))


def test_the_class_weights_of_each_expert_start_at_length_one():
    head = ExpertsHead(48, 8, scale=30.0, n_experts=3)
    assert head.weight.shape == (8, 48)
    assert torch.allclose(head.weight.view(8, 3, 16).norm(dim=2), torch.ones(8, 3))


def test_the_logits_of_a_cosine_head_are_scaled_cosines():
    head = CosineHead(4, 3, scale=30.0)
    expected = 30 * torch.cosine_similarity(torch.eye(4)[:, None], head.weight[None], dim=2)
    assert torch.allclose(head(torch.eye(4)), expected, atol=1e-5)
