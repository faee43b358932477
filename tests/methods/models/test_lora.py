"""Updates of low rank: what they start from, what moves, and which encoders cannot have them."""

from importlib import util

import pytest
import torch
from torch import nn

from lmd_bench.core.errors import UserError
from lmd_bench.methods.catalogue import resolve_method
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.models import lora
from lmd_bench.methods.models.encoder import load_encoder
from lmd_bench.methods.settings import default_config

needs_peft = pytest.mark.skipif(util.find_spec("peft") is None, reason="peft is not installed")
needs_timm = pytest.mark.skipif(util.find_spec("timm") is None, reason="timm is not installed")
VIT = "timm:vit_tiny_patch16_224"


def drawn(tune, seed=0):
    return load_encoder(TrainingConfig(backbone=VIT, tune=tune), seed=seed, image_size=32)


def moved(network, inputs):
    """Return the names of the parameters that three steps of a made-up loss move."""
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    for step in range(3):
        optimiser.zero_grad()
        # Norms at the end make many a simpler sum a constant.
        outputs = network(inputs)
        rng = torch.Generator().manual_seed(step)
        (outputs * torch.randn(outputs.shape, generator=rng)).sum().backward()
        optimiser.step()
    return {name for name, p in network.named_parameters() if not torch.equal(p, before[name])}


@needs_peft
@needs_timm
def test_they_start_from_the_encoder_and_alone_are_trained():
    images = torch.randn(2, 3, 32, 32)
    plain, updated = drawn("full").eval(), drawn("lora").eval()
    with torch.no_grad():
        torch.testing.assert_close(updated(images), plain(images))
    trained = {name for name, p in updated.named_parameters() if p.requires_grad}
    assert trained == {name for name, _ in updated.named_parameters() if "lora_" in name}
    # qkv, projection and two layers of each of 12 blocks, A and B of each
    assert len(trained) == 12 * 4 * 2
    assert moved(updated, images) == trained


@needs_peft
@needs_timm
def test_the_seed_alone_decides_what_is_drawn():
    one, same, other = (drawn("lora", seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    first = next(name for name in one if "lora_A" in name)
    assert not torch.equal(one[first], other[first])


@needs_peft
@pytest.mark.parametrize("backbone", ["resnet18", "swin_t", "vit_b_16"])
def test_an_encoder_that_cannot_have_them_is_refused(backbone):
    with pytest.raises(UserError, match="no attention layers that LoRA can act on"):
        load_encoder(TrainingConfig(backbone=backbone, tune="lora"), seed=0, image_size=32)


def test_without_its_package_the_sentence_says_what_installs_it(monkeypatch):
    monkeypatch.setattr(lora.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'lmd-bench\[lora\]'"):
        lora.add_lora(nn.Linear(2, 2), "mine", 8)


def test_its_default_step_is_larger_than_that_of_the_whole_encoder():
    method = resolve_method("cross_entropy")
    given = {"training.backbone": VIT, "training.pretrained": True}
    lrs = {
        tune: default_config(method, {**given, "training.tune": tune})["training.lr"]
        for tune in ("full", "lora")
    }
    assert lrs == {"full": 2.0e-4, "lora": 1.0e-3}
