"""The settings of a method: their defaults, what a person sets in their place, and the checks."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cache
from math import isfinite
from typing import Any, Literal, get_args, get_origin, get_type_hints

import yaml

from lmd_bench.core import plugins
from lmd_bench.core.errors import UserError, unknown
from lmd_bench.core.schema import Config, Scalar
from lmd_bench.methods.backbones import check_backbone, pretrained_default
from lmd_bench.methods.catalogue import Method
from lmd_bench.methods.config import ON_STORED, TrainingConfig
from lmd_bench.methods.weights import pinned

# What a torchvision or timm recipe takes where the defaults of SGD would not do.
_OPTIMISER_DEFAULTS: dict[str, dict[str, Scalar]] = {
    "adamw": {"training.lr": 1.0e-3, "training.weight_decay": 0.05}
}
# What weights that are there already survive: AdamW at 1e-3 has forgotten them after an epoch.
_LOADED_DEFAULTS: dict[str, Scalar] = {
    "training.lr": 2.0e-4,
    "training.weight_decay": 0.05,
    "training.head_lr_factor": 10.0,
}
# Updates of low rank begin at 0 and take larger steps than the weights that they add to.
_LORA: dict[str, Scalar] = {"training.lr": 1.0e-3}
# What a head or an adapter on stored features takes, whatever encoder they are of: there is nothing
# that training could forget, and the features come at one scale.
_STORED_DEFAULTS: dict[str, Scalar] = {
    "training.optimiser": "adamw",
    "training.lr": 1.0e-3,
    "training.weight_decay": 0.05,
    "training.head_lr_factor": 10.0,
}


def section_defaults(section: str) -> dict[str, Scalar]:
    """Return the defaults of one section (`training`, or a stage's name) as "section.key"."""
    config = _config_class(section)()
    return {f"{section}.{item.name}": getattr(config, item.name) for item in fields(config)}


def default_config(method: Method, overrides: Config | None = None) -> dict[str, Scalar]:
    """Return the complete default config of a method, its settings and `overrides` applied.

    Later ones win: what all methods share, what the representation declares of training, the
    method's own defaults and settings, the overrides.

    Raises:
        UserError: an override whose key or value is not allowed.
    """
    config: dict[str, Scalar] = {}
    for section in method.sections:
        config |= section_defaults(section)
    plugin = plugins.plugin_class("representation", method.representation)
    own = {f"training.{name}": value for name, value in plugin.training_defaults.items()}
    own |= {key: entry["default"] for key, entry in method.searched.items()}
    given = {**method.settings, **(overrides or {})}
    for key, value in {**own, **given}.items():
        config[key] = check_value(key, value, config)
    check_backbone(str(config["training.backbone"]))
    config["training.weights"] = pinned(str(config["training.weights"]))
    own_recipe = "training.pretrained" in method.settings
    config |= {k: v for k, v in _following(config, given, own_recipe).items() if k not in given}
    for section in method.sections:
        section_config(section, config)
    return config


def _following(config: Config, given: Config, own_recipe: bool) -> dict[str, Scalar]:
    """Return the defaults that follow from the encoder, the optimiser and the batch.

    An encoder that starts from weights is trained by AdamW, its head faster than itself; what
    stands on stored features is too, by a recipe of its own. Any other
    default lr is meant for batches of 128 and follows the batch in proportion.

    Args:
        config: complete.
        given: what a person or the method set.
        own_recipe: the method says itself how it trains the weights that it starts from.

    Source: Goyal et al., Accurate, Large Minibatch SGD, 2017, section 2.1.
    URL: https://arxiv.org/abs/1706.02677
    """
    pretrained = bool(
        given.get("training.pretrained", pretrained_default(str(config["training.backbone"])))
    )
    stored = config["training.tune"] in ON_STORED
    if stored and given.get("training.optimiser", "adamw") == "adamw":
        return {"training.pretrained": pretrained, **_STORED_DEFAULTS}
    from_weights = pretrained or bool(config["training.weights"])
    loaded = from_weights and not stored and not own_recipe
    optimiser = "adamw" if loaded else config["training.optimiser"]
    optimiser = str(given.get("training.optimiser", optimiser))
    start: dict[str, Scalar] = {"training.pretrained": pretrained, "training.optimiser": optimiser}
    if loaded and optimiser == "adamw":
        return start | _LOADED_DEFAULTS | (_LORA if config["training.tune"] == "lora" else {})
    defaults = _OPTIMISER_DEFAULTS.get(optimiser, {})
    lr = float(defaults.get("training.lr", config["training.lr"]))
    scale = int(config["training.batch_size"]) / TrainingConfig.batch_size
    return {**start, **defaults, "training.lr": lr * scale}


def section_config(section: str, config: Config) -> Any:
    """Return the frozen Config of one section of a complete config.

    Raises:
        UserError: a value that the section's Config refuses.
    """
    prefix = f"{section}."
    values = {k.removeprefix(prefix): v for k, v in config.items() if k.startswith(prefix)}
    try:
        return _config_class(section)(**values)
    except ValueError as error:
        raise UserError(f"{section}: {error}") from error


def swept_settings(calibration: str, config: Config | None = None) -> int:
    """Return how many settings a stage 2 judges on val within one trial; 1 if it sweeps none.

    Args:
        calibration: its name.
        config: of the trial; None takes the defaults.
    """
    values = section_defaults(calibration) if config is None else config
    plugin = plugins.plugin_class("calibration", calibration)
    return plugin.n_swept(section_config(calibration, values))


def deferral_of(representation: str, config: Config) -> float:
    """Return the share of stage 1 before which its full objective does not act yet.

    Args:
        representation: its name.
        config: of the trial.
    """
    plugin = plugins.plugin_class("representation", representation)
    return float(plugin.deferral(section_config(representation, config)))


def parse_settings(texts: Iterable[str]) -> dict[str, Scalar]:
    """Return {"rrl.batch_loss_weight": 5} of ["rrl.batch_loss_weight=5"]; values are YAML.

    Raises:
        UserError: a text without "=" or without a section.
    """
    settings: dict[str, Scalar] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or "." not in key:
            raise UserError(
                f"Setting '{text}' is not of the form section.key=value, "
                "for example training.lr=0.1 or rrl.batch_loss_weight=5."
            )
        try:
            settings[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UserError(f"Setting '{text}' has a value that cannot be read.") from error
    return settings


def setting_texts(settings: Config) -> list[str]:
    """Return what `parse_settings` reads back as these settings."""
    return [f"{key}={json.dumps(value)}" for key, value in settings.items()]


def check_value(key: str, value: Any, config: Mapping[str, Scalar]) -> Scalar:
    """Return `value` in the type that `key` has in `config`.

    Raises:
        UserError: unknown key, or a value of another type or outside the choices.
    """
    if key not in config:
        raise unknown("setting", key, config)
    section, _, name = key.partition(".")
    hint = _hints(_config_class(section))[name]
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            choices = ", ".join(str(choice) for choice in get_args(hint))
            raise UserError(f"Setting {key}={value} is not allowed; choose from {choices}.")
        return value
    if hint is float and not isinstance(value, bool):
        value = _as_float(value)
    if isinstance(value, float) and not isfinite(value):
        raise UserError(f"Setting {key}={value} is not allowed; it takes a finite number.")
    if type(value) is not hint:
        raise UserError(f"Setting {key}={value} is not allowed; it takes one {hint.__name__}.")
    return value


def check_keys(settings: Config, methods: Iterable[Method]) -> None:
    """Check that each key belongs to at least one of the methods.

    Raises:
        UserError: a key that no method has.
    """
    allowed = {key for method in methods for key in default_config(method)}
    for key in settings:
        if key not in allowed:
            raise unknown("setting", key, allowed)


def _as_float(value: Any) -> Any:
    if isinstance(value, int):
        return float(value)
    if isinstance(value, str):  # YAML reads 1e-5, without a dot, as text
        try:
            return float(value)
        except ValueError:
            return value
    return value


@cache
def _hints(config_class: type) -> dict[str, Any]:
    return get_type_hints(config_class)


def _config_class(section: str) -> Any:
    if section == "training":
        return TrainingConfig
    for kind in ("representation", "calibration"):
        if section in plugins.names(kind):
            return plugins.load(kind, section).Config
    stages = plugins.names("representation") + plugins.names("calibration")
    raise unknown("section", section, ["training", *stages])
