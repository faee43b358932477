"""The encoder: images to features, whatever network is in it, and the facts that others ask for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lmd_bench.core.errors import UserError
from lmd_bench.methods.backbones import check_backbone, encoder_version, plugin_of, source_of
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.draws import own_draws
from lmd_bench.methods.models.encoders._base import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Description,
    Parts,
    Seen,
    Stem,
    Triple,
)
from lmd_bench.methods.models.loading import Matched, load_weights
from lmd_bench.methods.models.lora import add_lora

T = TypeVar("T")
SMALL_BELOW = 96  # pixels: there the stock stem leaves the last stage a map of 1x1 or 2x2
Images = Float[Tensor, "batch 3 height width"]
Features = Float[Tensor, "batch features"]


@dataclass(frozen=True)
class EncoderFacts:
    """What is known of an encoder without loading its weights.

    Attributes:
        name: as in `training.backbone`.
        source: plug-in that it comes from.
        features: which features it gives.
        width: of these features, C.
        width_last, width_penultimate: of either; None where there is no penultimate layer.
        mean, std: of its input, of pixels in [0, 1]; `Encoder` takes ImageNet's and converts.
        native_size: pixels, square, that its weights were trained at.
        signed: its features may be negative.
        licence: of its weights; "" for random ones.
        weights: hash or published name of its weights; "" for random ones.
        seen: may its weights come from the test images?
    """

    name: str
    source: str
    features: str
    width: int
    width_last: int
    width_penultimate: int | None
    mean: Triple
    std: Triple
    native_size: int
    signed: bool
    licence: str
    weights: str
    seen: Seen


class Encoder(nn.Module):
    """A network without classifier: images as `make_view` gives them to float features."""

    def __init__(self, network: nn.Module, source: Any, facts: EncoderFacts) -> None:
        """Wrap a network.

        Args:
            network: images to its last features.
            source: the subclass of EncoderSource that built it.
            facts: of it.
        """
        super().__init__()
        self.network = network
        self.source = source
        self.facts = facts
        self.matched: Matched | None = None  # what it took of a file of weights
        self.renormalise = _Renormalise(facts.mean, facts.std)
        # The encoders of earlier packages were the bare network.
        self.register_load_state_dict_pre_hook(_from_bare_network)

    @property
    def width(self) -> int:
        """Return the number of features, C."""
        return self.facts.width

    def forward(self, images: Images) -> Features:
        """Return the features that the config asks for."""
        images = self.renormalise(images)
        if self.facts.features == "last":
            return self.network(images)
        parts = self.parts()
        assert parts is not None
        maps = _through(parts.stages[: parts.n_penultimate], images)
        penultimate = pooled(maps, parts)
        if self.facts.features == "penultimate":
            return penultimate
        last = parts.neck(_through(parts.stages[parts.n_penultimate :], maps))
        return torch.cat([penultimate, last], dim=1)

    def parts(self) -> Parts | None:
        """Return the network's stages, the modules themselves; None where it cannot be split."""
        return self.source.take_apart(self.network)

    def split(self, last: Literal["stage", "block"]) -> tuple[nn.Sequential, nn.Module, nn.Module]:
        """Return the part that branches share, what each has to itself, and what pools its output.

        Args:
            last: what a branch has to itself: the last stage, or the last block of that.

        Raises:
            UserError: the network is no sequence of such parts, or other features are asked for.
        """
        parts = self.parts()
        if parts is None:
            raise UserError(
                f"Encoder '{self.facts.name}' cannot be split into stages, which experts and "
                "branches need; take a ResNet, ConvNeXt, DenseNet, EfficientNet, MobileNet or Swin "
                "of torchvision, or efficientnet_lite0."
            )
        if self.facts.features != "last":
            raise UserError(
                f"Experts and branches take the last features of an encoder, not "
                f"training.features={self.facts.features}."
            )
        *shared, stage = parts.stages
        if last == "block":
            if not isinstance(stage, nn.Sequential):
                raise UserError(
                    f"The last stage of encoder '{self.facts.name}' is no sequence of blocks, "
                    "which this method needs; take a ResNet."
                )
            *kept, stage = stage
            shared = [*shared, nn.Sequential(*kept)]
        if self.renormalise.acts:
            shared = [self.renormalise, *shared]
        return nn.Sequential(*shared), stage, parts.neck


class SideBySide(nn.ModuleList):
    """Modules built alike, of which none stands on another."""


def load_encoder(
    training: TrainingConfig,
    seed: int,
    *,
    image_size: int | None = None,
    with_weights: bool = True,
) -> Encoder:
    """Return the encoder that a config names, on the CPU, initialised from `seed`.

    Args:
        training: the config.
        seed: of what is drawn.
        image_size: of the images it will see; None takes its own.
        with_weights: False where they are overwritten right after.

    Raises:
        UserError: no such encoder, or weights that cannot be had.
    """
    with own_draws(seed):
        return draw_encoder(training, image_size, with_weights=with_weights)


def draw_encoder(
    training: TrainingConfig, image_size: int | None = None, *, with_weights: bool = True
) -> Encoder:
    """Return the encoder that a config names, drawn from torch's generator as it stands.

    Args:
        training: the config.
        image_size: of the images it will see; None takes its own.
        with_weights: False where they are overwritten right after.

    Raises:
        UserError: no such encoder, or weights that cannot be had.
    """
    facts = encoder_facts(training)
    source, name = source_of(training.backbone)
    size = facts.native_size if image_size is None else image_size
    network = source.build(
        name,
        pretrained=training.pretrained and not training.weights and with_weights,
        image_size=size,
        stem=stem_for(training, size),
    )
    encoder = Encoder(network, source, facts)
    if training.weights and with_weights:
        encoder.matched = load_weights(network, training.weights, training.backbone, source.renamed)
    if training.tune == "lora":
        add_lora(network, training.backbone, training.lora_rank)
    return encoder


def encoder_facts(training: TrainingConfig) -> EncoderFacts:
    """Return what is known of the encoder that a config names; cheap, and without a network.

    Raises:
        UserError: no such encoder, a missing package, or features that it does not have.
    """
    check_backbone(training.backbone)
    source, name = source_of(training.backbone)
    pretrained = training.pretrained and not training.weights
    about: Description = source.describe(name, pretrained=pretrained)
    if training.weights:
        about = replace(about, weights=training.weights, licence="of the file", seen="unknown")
    last, penultimate = _widths(training.backbone, about.native_size)
    asked = training.features
    if asked != "last" and penultimate is None:
        raise UserError(
            f"Encoder '{training.backbone}' has no penultimate features here, for it is not known "
            "how to take it apart; leave training.features at last."
        )
    layers = {"last": (last, about.signed), "penultimate": (penultimate, about.signed_penultimate)}
    taken = [layers[name] for name in layers if asked in (name, "both")]
    # The file of an encoder from outside is a part of what its features are made of.
    own = encoder_version({"training.backbone": training.backbone}).values()
    return EncoderFacts(
        name=training.backbone,
        source=plugin_of(training.backbone)[0],
        features=asked,
        width=sum(width or 0 for width, _ in taken),
        width_last=last,
        width_penultimate=penultimate,
        mean=about.mean,
        std=about.std,
        native_size=about.native_size,
        signed=any(signed for _, signed in taken),
        licence=about.licence,
        weights=" ".join(filter(None, [about.weights, *map(str, own)])),
        seen=about.seen,
    )


def encoder_bytes(training: TrainingConfig, image_size: int) -> int:
    """Return the bytes of an encoder's parameters and buffers, without any weights being made."""
    source, name = source_of(training.backbone)
    stem = stem_for(training, image_size)

    def measured() -> int:
        network = source.build(name, pretrained=False, image_size=image_size, stem=stem)
        return sum(tensor.nbytes for tensor in network.state_dict().values())

    return _without_values(measured)


def stem_for(training: TrainingConfig, image_size: int) -> Stem:
    """Return the stem that a config means at an image size.

    `auto` takes the small stem below 96 px where the encoder has one, and keeps the network's own
    where weights are loaded into it.
    """
    match training.stem:
        case "small":
            return "small"
        case "imagenet":
            return "own"
        case "auto":
            source, name = source_of(training.backbone)
            loaded = training.pretrained or bool(training.weights)
            small = image_size < SMALL_BELOW and not loaded and source.has_small_stem(name)
            return "small" if small else "own"


def pooled(maps: Tensor, parts: Parts) -> Features:
    """Return the mean of each channel over all places of a stage's output."""
    return maps.mean(dim=(1, 2) if parts.channels_last else (2, 3))


def parameter_groups(encoder: nn.Module, lr: float, layer_decay: float) -> list[dict[str, Any]]:
    """Return the parameters of an encoder as an optimiser's groups, the topmost layer first.

    A layer is a member of a sequence in the network, or another child; what lies in no child (a
    class token, positions) is of the lowest. Of branches, those at one depth are one layer.

    Args:
        encoder: an `Encoder`, or what a method made of one.
        lr: of the topmost layer.
        layer_decay: factor of the lr from a layer to the one below it; 1 gives one group.
    """
    if layer_decay == 1.0:
        return [{"params": list(encoder.parameters()), "lr": lr}]
    layers = [list(layer.parameters()) for layer in _layers(encoder)]
    inside = {id(parameter) for layer in layers for parameter in layer}
    loose = [parameter for parameter in encoder.parameters() if id(parameter) not in inside]
    trained = [layer for layer in ([*loose, *layers[0]], *layers[1:]) if layer]
    return [
        {"params": layer, "lr": lr * layer_decay**depth}
        for depth, layer in enumerate(reversed(trained))
    ]


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    for child in module.children():
        if isinstance(child, SideBySide):
            # Those at one depth learn alike, however many stand beside them.
            stacks = (part if isinstance(part, nn.Sequential) else [part] for part in child)
            yield from map(nn.ModuleList, zip(*stacks, strict=True))
        elif isinstance(child, nn.Sequential):
            yield from child.children()
        elif any(isinstance(part, nn.Sequential) for part in child.children()):
            yield from _layers(child)
        else:
            yield child


@cache
def _widths(backbone: str, size: int) -> tuple[int, int | None]:
    """Return the widths of the last and of the penultimate features, without any weights."""
    source, name = source_of(backbone)

    def measured() -> tuple[int, int | None]:
        network = source.build(name, pretrained=False, image_size=size, stem="own").eval()
        image = torch.zeros(1, 3, size, size)
        last = network(image).shape[1]
        parts = source.take_apart(network)
        if parts is None:
            return last, None
        maps = _through(parts.stages[: parts.n_penultimate], image)
        return last, pooled(maps, parts).shape[1]

    return _without_values(measured)


@torch.no_grad()
def _without_values(measure: Callable[[], T]) -> T:
    """Return what is measured of a network that it builds, on the meta device where that will do.

    There tensors have shapes and no values: milliseconds for any network.
    """
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            return measure()
    except NotImplementedError:
        # Some read values while they are built.
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            return measure()


class _Renormalise(nn.Module):
    """Images normalised for ImageNet, normalised as a network wants them."""

    scale: Tensor
    shift: Tensor

    def __init__(self, mean: Triple, std: Triple) -> None:
        super().__init__()
        self.acts = (mean, std) != (IMAGENET_MEAN, IMAGENET_STD)
        imagenet_mean, imagenet_std, mean_, std_ = (
            torch.tensor(values).view(1, 3, 1, 1)
            for values in (IMAGENET_MEAN, IMAGENET_STD, mean, std)
        )
        # Constants of the source, so no part of what is stored.
        self.register_buffer("scale", imagenet_std / std_, persistent=False)
        self.register_buffer("shift", (imagenet_mean - mean_) / std_, persistent=False)

    def forward(self, images: Images) -> Images:
        return images * self.scale + self.shift if self.acts else images


def _through(stages: Any, images: Tensor) -> Tensor:
    for stage in stages:
        images = stage(images)
    return images


def _from_bare_network(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    names = [name for name in state if name.startswith(prefix)]
    if any(name.startswith(f"{prefix}network.") for name in names):
        return
    for name in names:
        state[f"{prefix}network.{name.removeprefix(prefix)}"] = state.pop(name)
