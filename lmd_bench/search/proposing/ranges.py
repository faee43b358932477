"""Ranges that a person gives in place of the shipped ones: --range section.key=low:high."""

from collections.abc import Iterable, Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from lmd_bench.core.errors import UserError, unknown
from lmd_bench.methods.catalogue import Method
from lmd_bench.methods.settings import check_value, parse_settings, section_defaults
from lmd_bench.methods.space import Space, search_space

Ranges = Mapping[str, str]  # "section.key" -> "low:high", or "one,another"


def parse_ranges(texts: Iterable[str], methods: Iterable[Method]) -> dict[str, str]:
    """Return {"training.lr": "0.01:0.1"} of ["training.lr=0.01:0.1"], each checked.

    Raises:
        UserError: no range, or a key that none of the methods searches.
    """
    ranges: dict[str, str] = {}
    space: Space = {}
    for method in methods:
        space |= search_space(method.sections, method.settings, method.searched)
    for text in texts:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not value:
            raise UserError(
                f"Range '{text}' is not of the form section.key=low:high, or "
                "section.key=one,another for what is chosen among names."
            )
        if key not in space:
            raise unknown("searched setting", key, space)
        _distribution(key, space[key], value)
        ranges[key] = value
    return ranges


def ranged(space: Space, ranges: Ranges) -> Space:
    """Return the space with the given ranges in place of its own; order and other keys stay."""
    return {
        key: _distribution(key, distribution, ranges[key]) if key in ranges else distribution
        for key, distribution in space.items()
    }


def contains(distribution: BaseDistribution, value: Any) -> bool:
    """Say whether a value lies in a distribution's range."""
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return distribution.low <= value <= distribution.high


def _distribution(key: str, shipped: BaseDistribution, text: str) -> BaseDistribution:
    if isinstance(shipped, CategoricalDistribution):
        return CategoricalDistribution([_value(key, part) for part in text.split(",")])
    low, colon, high = text.partition(":")
    if not colon:
        raise UserError(f"Range {key}={text} is not allowed; write low:high.")
    ends: list[Any] = [_value(key, low), _value(key, high)]
    assert isinstance(shipped, FloatDistribution | IntDistribution)
    if ends[0] > ends[1] or (shipped.log and ends[0] <= 0):
        above = " above 0, since it is searched on a logarithmic scale" if shipped.log else ""
        raise UserError(f"Range {key}={text} is empty; give a low{above} that is below the high.")
    if isinstance(shipped, FloatDistribution):
        return FloatDistribution(*ends, log=shipped.log)
    return IntDistribution(*ends, log=shipped.log, step=shipped.step)


def _value(key: str, text: str) -> Any:
    setting = parse_settings([f"{key}={text.strip()}"])
    return check_value(key, setting[key], section_defaults(key.partition(".")[0]))
