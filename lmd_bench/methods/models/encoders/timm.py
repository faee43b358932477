"""Any model of timm (PyTorch Image Models), random or with the weights that it publishes.

Written timm:NAME, where NAME is one of `timm.list_models()` or has the tag of weights behind a dot:
timm:convnext_atto, timm:vit_small_patch14_dinov2.lvd142m.

Source: https://github.com/huggingface/pytorch-image-models (Apache-2.0).
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from importlib import util
from typing import Any

from torch import nn

from lmd_bench.core.errors import UserError
from lmd_bench.methods.models.encoders._base import (
    Description,
    EncoderSource,
    Parts,
    Stem,
    missing_extra,
    refuse_small_stem,
    unknown_encoder,
)

# Parts of the tags of weights that saw other images before or beside ImageNet-1k.
_MORE_IMAGES = re.compile("ft|ssld|distilled")


class Timm(EncoderSource):
    """Any model of timm."""

    many = True
    extra = "timm"

    @classmethod
    def names(cls) -> Sequence[str]:
        """Return the names of all models, without the tags of their weights."""
        import timm

        return timm.list_models()

    @classmethod
    def check(cls, name: str) -> None:
        """Check that timm is there and has a model of that name, and weights of that tag."""
        _require(name)
        import timm

        architecture, _, tag = name.partition(".")
        if architecture not in cls.names():
            raise unknown_encoder(architecture, cls.names(), "timm:")
        tagged = timm.list_pretrained(f"{architecture}.*")
        if tag and name not in tagged:
            raise unknown_encoder(name, tagged, "timm:")

    @classmethod
    def describe(cls, name: str, *, pretrained: bool) -> Description:
        """Return what timm's own card of the weights says."""
        _require(name)
        import timm

        config: Any = timm.get_pretrained_cfg(name)
        if config is None:
            return Description(seen="unknown" if pretrained else "no")
        facts = Description(
            native_size=config.input_size[-1], mean=config.mean, std=config.std, seen="no"
        )
        if not pretrained:
            return facts
        tag = str(config.tag)
        return replace(
            facts,
            licence=str(config.license or "unknown"),
            weights=f"timm:{config.architecture}.{tag}",
            # ImageNet-1k was gathered before the data sets that are published for us; whatever else
            # weights come from nobody has checked.
            seen="no" if tag.endswith("in1k") and not _MORE_IMAGES.search(tag) else "unknown",
        )

    @classmethod
    def build(cls, name: str, *, pretrained: bool, image_size: int, stem: Stem) -> nn.Module:
        """Return the network without classifier."""
        refuse_small_stem(f"timm:{name}", stem)
        _require(name)
        import timm

        config: Any = timm.get_pretrained_cfg(name)
        # Those of one input size are built for the size of the images; the others take any.
        sized: dict[str, Any] = (
            {"img_size": image_size} if config and config.fixed_input_size else {}
        )
        try:
            return timm.create_model(name, pretrained=pretrained, num_classes=0, **sized)
        except AssertionError as error:
            raise UserError(
                f"Encoder 'timm:{name}' cannot be built for images of {image_size} px ({error})."
            ) from error
        except (OSError, RuntimeError) as error:
            if not pretrained:
                raise
            raise UserError(
                f"The weights of 'timm:{name}' cannot be had ({_first_line(error)}); connect to "
                "the network once, give a file with --set training.weights=FILE, or start from "
                "random weights with --set training.pretrained=false."
            ) from error

    @classmethod
    def take_apart(cls, network: nn.Module) -> Parts | None:
        """Return the stages of the families that are sequences of such."""
        from timm import models

        match network:
            case models.ResNet():
                *stages, pool, _ = network.children()
                return Parts(stages, pool, n_penultimate=len(stages) - 1)
            case models.ConvNeXt():
                stages = [network.stem, *_parts(network.stages)]
                neck = nn.Sequential(network.norm_pre, network.head)
                return Parts(stages, neck, n_penultimate=len(stages) - 1)
            case models.SwinTransformer():
                stages = [network.patch_embed, *_parts(network.layers)]
                neck = nn.Sequential(network.norm, network.head)
                return Parts(stages, neck, n_penultimate=len(stages) - 1, channels_last=True)
            case models.EfficientNet():
                # The last convolution widens what the stages give.
                stages = [network.conv_stem, network.bn1, *_parts(network.blocks)]
                neck = nn.Sequential(network.conv_head, network.bn2, network.global_pool)
                return Parts(stages, neck, n_penultimate=len(stages))
            case _:
                return None


def _parts(sequence: Any) -> list[nn.Module]:
    return list(sequence.children())


def _require(name: str) -> None:
    if util.find_spec("timm") is None:
        raise missing_extra(f"timm:{name}", "timm", Timm.extra)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
