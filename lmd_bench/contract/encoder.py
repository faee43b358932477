"""What has to hold of every source of encoders, with random weights: others may be far away."""

import torch

from lmd_bench.contract.expect import expect
from lmd_bench.core import plugins
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.models.encoder import Encoder, encoder_facts, load_encoder, pooled


def encoder_of(name: str, seed: int = 0) -> Encoder:
    """Return the first encoder of a source, for images of its own size."""
    source = plugins.plugin_class("encoders", name)
    backbone = f"{name}:{source.names()[0]}" if source.many else name
    return load_encoder(TrainingConfig(backbone=backbone), seed).eval()


def images_for(encoder: Encoder) -> torch.Tensor:
    """Return two random images of an encoder's own size."""
    size = encoder.facts.native_size
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def gives_features(name: str) -> None:
    """It gives finite features of one width for each image."""
    encoder = encoder_of(name)
    features = encoder(images_for(encoder))
    shape = (2, encoder.width)
    expect(features.shape == shape, f"features of shape {tuple(features.shape)}, not {shape}")
    expect(torch.isfinite(features).all(), "features that are not finite")
    negative = bool((features < 0).any())
    expect(encoder.facts.signed or not negative, "features below 0, though it says signed=False")


@torch.no_grad()
def repeats(name: str) -> None:
    """The same seed gives the same weights to the last bit."""
    first, again = (encoder_of(name).state_dict() for _ in range(2))
    same = all(torch.equal(value, again[key]) for key, value in first.items())
    expect(same, "two builds with one seed differ; draw from torch's generator alone")


@torch.no_grad()
def adds_up_from_its_parts(name: str) -> None:
    """Where it can be taken apart, stages and neck give what the whole gives."""
    encoder = encoder_of(name)
    parts = encoder.parts()
    if parts is None:
        return
    maps = encoder.renormalise(images_for(encoder))
    for index, stage in enumerate(parts.stages, 1):
        maps = stage(maps)
        if index == parts.n_penultimate:
            width = encoder_facts(TrainingConfig(backbone=encoder.facts.name)).width_penultimate
            expect(pooled(maps, parts).shape[1] == width, "penultimate features of another width")
    whole = encoder(images_for(encoder))
    expect(torch.equal(parts.neck(maps), whole), "the parts give other features than the whole")


CHECKS = (gives_features, repeats, adds_up_from_its_parts)
