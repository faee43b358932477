"""The models: their stems, and what follows from the size of the images."""

import pytest
import torch
from torch import nn

from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.models.encoder import stem_for
from lmd_bench.methods.models.model import build_model


@pytest.mark.parametrize(
    ("setting", "size", "pretrained", "stem"),
    [
        ("auto", 32, False, "small"),
        ("auto", 95, False, "small"),
        ("auto", 96, False, "own"),
        ("auto", 32, True, "own"),
        ("small", 224, False, "small"),
        ("imagenet", 32, False, "own"),
    ],
)
def test_the_stem_follows_from_the_image_size(setting, size: int, pretrained: bool, stem: str):
    assert stem_for(TrainingConfig(stem=setting, pretrained=pretrained), size) == stem


def last_map(stem) -> torch.Size:
    """Return the shape of the last stage's map of an image of 32 px."""
    model = build_model(TrainingConfig(stem=stem), 3, seed=0)
    shapes: list[torch.Size] = []
    model.encoder.network.get_submodule("layer4").register_forward_hook(
        lambda module, inputs, output: shapes.append(output.shape)
    )
    model.eval()(torch.zeros(1, 3, 32, 32))
    return shapes[0]


def test_the_small_stem_leaves_the_last_stage_a_map_of_four_by_four():
    assert last_map("imagenet")[2:] == (1, 1)
    assert last_map("small")[2:] == (4, 4)


def test_the_small_stem_repeats_with_its_seed_and_is_drawn_at_torchvisions_scale():
    first, again, other = (
        build_model(TrainingConfig(stem="small"), 3, seed=seed).encoder.network
        for seed in (0, 0, 1)
    )
    weights = [
        encoder.get_submodule("conv1").get_parameter("weight") for encoder in (first, again, other)
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert weights[0].std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.1)
    assert isinstance(first.get_submodule("maxpool"), nn.Identity)
