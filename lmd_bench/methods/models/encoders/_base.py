"""The contract of a source of encoders: which names it has, what they are, and how one is built."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import ClassVar, Literal

from torch import Tensor, nn

from lmd_bench.core.errors import UserError

Stem = Literal["own", "small"]
# May the images that the weights come from hold a task's test images?
Seen = Literal["yes", "no", "unknown"]
Triple = tuple[float, float, float]

IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)
_N_CLOSEST = 5  # names offered in place of an unknown one


@dataclass(frozen=True)
class Description:
    """What is known of a network before it is built."""

    native_size: int = 224  # pixels, square, that its weights were trained at
    mean: Triple = IMAGENET_MEAN  # of its input, of pixels in [0, 1]
    std: Triple = IMAGENET_STD
    signed: bool = True  # the last features may be negative
    signed_penultimate: bool = True
    licence: str = ""  # of the weights
    weights: str = ""  # what names the weights: a hash, or their name where they are published
    seen: Seen = "unknown"


@dataclass(frozen=True)
class Parts:
    """A network without classifier, taken apart.

    Attributes:
        stages: what an image goes through, one after another.
        neck: makes the last features of the last stage's output.
        n_penultimate: stages whose pooled output is the penultimate features.
        channels_last: the stages give [batch, height, width, channels].
    """

    stages: Sequence[nn.Module]
    neck: nn.Module
    n_penultimate: int
    channels_last: bool = False


class EncoderSource(ABC):
    """Encoders of one origin. A file of that name holds one such class.

    `training.backbone` is the file's name, or `file:name` where the source has many.
    """

    many: ClassVar[bool] = False  # has names of its own, written behind a colon
    extra: ClassVar[str] = ""  # of the package's optional dependencies, where it needs one
    pretrained_default: ClassVar[bool] = False  # taken for its weights unless told otherwise

    @classmethod
    def names(cls) -> Sequence[str]:
        """Return the names of a source that has many, without the source's own."""
        return ()

    @classmethod
    def check(cls, name: str) -> None:
        """Check a name.

        Raises:
            UserError: there is no such encoder, or what the source needs is not installed.
        """
        if cls.many and name not in cls.names():
            raise unknown_encoder(name, cls.names())

    @classmethod
    @abstractmethod
    def describe(cls, name: str, *, pretrained: bool) -> Description:
        """Return what is known of an encoder, without building it and without a network."""

    @classmethod
    @abstractmethod
    def build(cls, name: str, *, pretrained: bool, image_size: int, stem: Stem) -> nn.Module:
        """Return the network without classifier: images to its last features.

        Fresh weights are drawn from torch's generator.

        Raises:
            UserError: no such stem or image size, or weights that cannot be had.
        """

    @classmethod
    def has_small_stem(cls, name: str) -> bool:
        """Return whether an encoder can be built with the stem for small images."""
        return False

    @classmethod
    def renamed(cls, tensors: Mapping[str, Tensor], network: nn.Module) -> Mapping[str, Tensor]:
        """Return the tensors of a file under the network's names, where they have others of old."""
        return tensors

    @classmethod
    def take_apart(cls, network: nn.Module) -> Parts | None:
        """Return the stages of a network that `build` made; None where it cannot be split."""
        return None


def unknown_encoder(name: str, choices: Sequence[str], prefix: str = "") -> UserError:
    """Return the error for a name that a source does not have, the closest ones offered."""
    near = get_close_matches(name, choices, n=_N_CLOSEST, cutoff=0.4)
    offered = ", ".join(f"{prefix}{choice}" for choice in near)
    hint = f"closest are {offered}" if near else "docs/encoders.md says which there are"
    return UserError(f"Unknown encoder '{prefix}{name}'; {hint}.")


def missing_extra(name: str, package: str, extra: str) -> UserError:
    """Return the error for an optional dependency that is not installed."""
    return UserError(
        f"Encoder '{name}' needs the package {package}, which is not installed; "
        f"pip install 'lmd-bench[{extra}]' installs it."
    )


def refuse_small_stem(name: str, stem: Stem) -> None:
    """Refuse the stem for small images where a network has none."""
    if stem == "small":
        raise UserError(
            f"Encoder '{name}' has no stem for small images; only the ResNets of torchvision do. "
            "Leave out training.stem=small."
        )
