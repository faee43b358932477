"""The classifiers of torchvision, random or with the weights that it publishes.

Written by their bare names: resnet18, convnext_tiny, vit_b_16, swin_t, densenet121.
Left out are those whose last layer is no linear one (squeezenet) and those with auxiliary
classifiers (googlenet, inception_v3).

Small stem: a 3x3 convolution of stride 1 without pooling, for a ResNet's 7x7 one of stride 4.
Source: the CIFAR ResNets of He et al., Deep Residual Learning, CVPR 2016, section 4.2, as all
published long-tailed codes use for images of 32 px. URL: https://arxiv.org/abs/1512.03385
"""

from collections import OrderedDict
from collections.abc import Sequence
from urllib.error import URLError

import torch
from torch import nn
from torchvision import models
from torchvision.models.vision_transformer import interpolate_embeddings

from lmd_bench.core.errors import UserError
from lmd_bench.methods.models.encoders._base import (
    Description,
    EncoderSource,
    Parts,
    Stem,
    refuse_small_stem,
)

_LEFT_OUT = ("googlenet", "inception", "squeezenet")
_RESNETS = ("resnet", "resnext", "wide_resnet")
# Families whose last features are means of what a ReLU gives; all others count as signed.
_RELU_LAST = (
    *(*_RESNETS, "densenet", "regnet", "mobilenet_v2", "mnasnet", "shufflenet"),
    *("vgg", "alexnet"),
)
_RELU_PENULTIMATE = (*_RESNETS, "regnet")


class Torchvision(EncoderSource):
    """Any classifier of `torchvision.models`."""

    many = True

    @classmethod
    def names(cls) -> Sequence[str]:
        """Return the names of `torchvision.models` but for those that have no linear classifier."""
        return [name for name in models.list_models(models) if not name.startswith(_LEFT_OUT)]

    @classmethod
    def describe(cls, name: str, *, pretrained: bool) -> Description:
        """Return what torchvision says of its default weights of that name."""
        signed = not name.startswith(_RELU_LAST)
        signed_penultimate = not name.startswith(_RELU_PENULTIMATE)
        if not pretrained:
            return Description(signed=signed, signed_penultimate=signed_penultimate, seen="no")
        weights = _weights(name)
        preset = weights.transforms()
        return Description(
            native_size=preset.crop_size[0],
            mean=tuple(preset.mean),
            std=tuple(preset.std),
            signed=signed,
            signed_penultimate=signed_penultimate,
            licence=f"BSD-3-Clause (torchvision); weights trained on {weights.name.split('_')[0]}",
            # The name of the file ends in the first digits of its hash.
            weights=weights.url.rpartition("/")[2].removesuffix(".pth"),
            # ImageNet-1k was gathered before the data sets that are published for us; SWAG's images
            # nobody can list.
            seen="no" if weights.name.startswith("IMAGENET1K_V") else "unknown",
        )

    @classmethod
    def has_small_stem(cls, name: str) -> bool:
        """Return whether it is a ResNet."""
        return name.startswith(_RESNETS)

    @classmethod
    def build(cls, name: str, *, pretrained: bool, image_size: int, stem: Stem) -> nn.Module:
        """Return the network with an identity in place of its last linear layer."""
        if not cls.has_small_stem(name):
            refuse_small_stem(name, stem)
        sized = {"image_size": image_size} if name.startswith("vit_") else {}
        patch = int(name.rpartition("_")[2]) if sized else 1
        if image_size % patch:
            raise UserError(
                f"Encoder '{name}' cuts images into squares of {patch} px, which {image_size} px "
                f"are no multiple of; give an image size that is one."
            )
        network = models.get_model(name, **sized)
        if pretrained:
            _load_pretrained(network, name, image_size)
        path = _linear_classifier(network)
        parent, _, last = path.rpartition(".")
        setattr(network.get_submodule(parent), last, nn.Identity())
        if stem == "small":
            _shrink_stem(network)
        return network

    @classmethod
    def take_apart(cls, network: nn.Module) -> Parts | None:
        """Return the stages of the families that are sequences of such."""
        match network:
            case models.ResNet():
                *stages, _, _ = network.children()
                return Parts(stages, MeanOfMaps(), n_penultimate=len(stages) - 1)
            case models.ConvNeXt():
                stages = list(network.features)
                neck = nn.Sequential(network.avgpool, network.classifier)
                # Before the last stage lies a layer that halves the map.
                return Parts(stages, neck, n_penultimate=len(stages) - 2)
            case models.SwinTransformer():
                stages = list(network.features)
                neck = nn.Sequential(
                    network.norm, network.permute, network.avgpool, network.flatten, network.head
                )
                return Parts(stages, neck, n_penultimate=len(stages) - 2, channels_last=True)
            case models.DenseNet():
                *stages, norm = network.features
                neck = nn.Sequential(norm, nn.ReLU(), MeanOfMaps(), network.classifier)
                return Parts(stages, neck, n_penultimate=len(stages) - 2)
            case models.EfficientNet() | models.MobileNetV3():
                # The last of its layers is a 1x1 convolution that widens what the stages give.
                *stages, wide = network.features
                neck = nn.Sequential(wide, network.avgpool, nn.Flatten(1), network.classifier)
                return Parts(stages, neck, n_penultimate=len(stages))
            case models.MobileNetV2():
                *stages, wide = network.features
                neck = nn.Sequential(wide, MeanOfMaps(), network.classifier)
                return Parts(stages, neck, n_penultimate=len(stages))
            case _:
                return None


class MeanOfMaps(nn.Module):
    """The mean of each channel's map."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return [batch, channels] of [batch, channels, height, width]."""
        return maps.mean(dim=(2, 3))


def _linear_classifier(network: nn.Module) -> str:
    """Return the path of the last linear layer, which is the classifier."""
    return [name for name, part in network.named_modules() if isinstance(part, nn.Linear)][-1]


def _shrink_stem(network: nn.Module) -> None:
    stock = network.get_submodule("conv1")
    assert isinstance(stock, nn.Conv2d)
    conv = nn.Conv2d(3, stock.out_channels, kernel_size=3, stride=1, padding=1, bias=False)
    # As torchvision draws all convolutions of its ResNets.
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    network.conv1 = conv
    network.maxpool = nn.Identity()


def _load_pretrained(network: nn.Module, name: str, image_size: int) -> None:
    weights = _weights(name)
    try:
        state = weights.get_state_dict(progress=False, check_hash=True)
    except (URLError, OSError) as error:
        folder = f"{torch.hub.get_dir()}/checkpoints"
        raise UserError(
            f"The ImageNet weights of {name} cannot be downloaded ({error}); put "
            f"{weights.url.rpartition('/')[2]} into {folder}, or start from random weights with "
            "--set training.pretrained=false."
        ) from error
    if isinstance(network, models.VisionTransformer) and (
        image_size != weights.transforms().crop_size[0]
    ):
        state = interpolate_embeddings(image_size, network.patch_size, OrderedDict(state))
    network.load_state_dict(state)


def _weights(name: str) -> models.WeightsEnum:
    return models.get_model_weights(name)["DEFAULT"]
