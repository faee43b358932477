"""What a name in `training.backbone` stands for: a source of encoders, and its name there."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from lmd_bench.core import plugins
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import Config

BARE = "torchvision"  # the source whose names are written without it


def source_of(backbone: str) -> tuple[Any, str]:
    """Return the source of an encoder (a subclass of EncoderSource), and the name it has there."""
    plugin, name = plugin_of(backbone)
    return plugins.plugin_class("encoders", plugin), name


def plugin_of(backbone: str) -> tuple[str, str]:
    """Return the plug-in that an encoder's name means, and the name that it has there.

    A name without a colon is a source that has one encoder, else one of torchvision's.
    """
    prefix, colon, name = backbone.partition(":")
    if prefix in plugins.names("encoders") and prefix != BARE:
        many = plugins.plugin_class("encoders", prefix).many
        if bool(colon) == many:
            return prefix, name if colon else backbone
    return BARE, backbone


def check_backbone(backbone: str) -> None:
    """Check that there is such an encoder.

    Raises:
        UserError: there is none (the closest names are offered), or a package is missing.
    """
    source, name = source_of(backbone)
    bare = plugins.plugin_class("encoders", BARE)
    if source is bare and name not in bare.names():
        raise _unknown(name, bare.names())
    source.check(name)


def encoder_version(config: Config) -> dict[str, int | str]:
    """Return the version of the source of a config's encoder, where that is not of the package.

    Those of the package are as they are; a file from outside may be another one tomorrow.
    """
    plugin, _ = plugin_of(str(config["training.backbone"]))
    version = plugins.version("encoders", plugin)
    return {plugin: version} if isinstance(version, str) else {}


def pretrained_default(backbone: str) -> bool:
    """Return whether an encoder is taken for its weights unless told otherwise."""
    return source_of(backbone)[0].pretrained_default


def _unknown(name: str, bare: Sequence[str]) -> UserError:
    """Return the error for a name without a source before it, the closest ones offered."""
    others = {of: plugins.plugin_class("encoders", of) for of in plugins.names("encoders")}
    single = [of for of, source in others.items() if not source.many]
    prefixes = [f"{of}:NAME" for of, source in others.items() if source.many and of != BARE]
    near = get_close_matches(name, [*bare, *single], n=5, cutoff=0.4)
    hint = f"closest are {', '.join(near)}; " if near else ""
    return UserError(
        f"Unknown encoder '{name}'; {hint}there are the classifiers of torchvision, "
        f"{', '.join([*single, *prefixes])}."
    )
