"""What has to hold of either stage: its card, its settings and their ranges."""

from dataclasses import FrozenInstanceError, fields

from optuna.distributions import CategoricalDistribution

from lmd_bench.contract.expect import ContractError, expect
from lmd_bench.core import plugins
from lmd_bench.core.outside import Kind
from lmd_bench.methods.settings import section_defaults
from lmd_bench.methods.space import search_space


def has_a_card(kind: Kind, name: str) -> None:
    """Its card, the docstring of the file, names a paper and a URL."""
    card = plugins.card(kind, name)
    for line in ("Paper: ", "URL: https://"):
        expect(line in card, f"the docstring of the file has no line '{line}...'")
    version = getattr(plugins.load(kind, name), "VERSION", 1)
    expect(type(version) is int and version >= 1, "VERSION has to be a number, 1 or more")


def has_frozen_settings(kind: Kind, name: str) -> None:
    """Its Config is a frozen dataclass with a default for each setting."""
    config = plugins.load(kind, name).Config()
    for setting in fields(config):
        try:
            setattr(config, setting.name, None)
        except FrozenInstanceError:
            continue
        raise ContractError("Config can be changed; write @dataclass(frozen=True)")


def has_ranges_that_hold_its_defaults(kind: Kind, name: str) -> None:
    """Its search space has a range for each setting, in which the default lies."""
    defaults = section_defaults(name)
    ranges = {f"{name}.{setting}" for setting in plugins.space(kind, name)}
    expect(ranges == set(defaults), f"the ranges are of {sorted(ranges)}, not {sorted(defaults)}")
    for key, distribution in search_space([name]).items():
        value = defaults[key]
        if isinstance(distribution, CategoricalDistribution):
            inside = value in distribution.choices
        else:
            inside = distribution._contains(value)  # pyright: ignore[reportPrivateUsage, reportArgumentType]
        expect(inside, f"the default {key}={value} lies outside of its range")


CHECKS = (has_a_card, has_frozen_settings, has_ranges_that_hold_its_defaults)
