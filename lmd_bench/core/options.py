"""Options as data: dataclasses that the command line and Python fill alike, and what texts mean.

A group is a frozen dataclass; each of its fields is annotated with an `Option`, which says in words
what it is. A field that is itself such a dataclass is a group within it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from lmd_bench.core.errors import UserError, unknown

NATURAL = "natural"  # the imbalance factor that keeps what exists
T = TypeVar("T")


@dataclass(frozen=True)
class Option:
    """What a person must know of one option, wherever it is shown."""

    help: str
    flag: str = ""  # on the command line, where it is not the field's name
    low: int | float | None = None
    high: int | float | None = None
    words: tuple[str, ...] = ()  # that are no paths, where it takes one
    pairs: bool = False  # texts of key=value, for which a file may hold a mapping


def from_keywords(cls: type[T], keywords: Mapping[str, Any]) -> T:
    """Return a dataclass of options, its groups included, made of flat keywords.

    Raises:
        UserError: a keyword that is no option.
    """
    names = list(option_names(cls))
    for name in keywords:
        if name not in names:
            raise unknown("option", name, names)
    return _made(cls, keywords)


def option_names(cls: Any) -> Iterator[str]:
    """Yield the names of a dataclass's options, those of its groups included."""
    hints = get_type_hints(cls)
    for field in fields(cls):
        if is_dataclass(hints[field.name]):
            yield from option_names(hints[field.name])
        else:
            yield field.name


def split_commas(texts: Iterable[str]) -> list[str]:
    """Return the distinct names of ["a,b", "a"] in order."""
    names = [name.strip() for text in texts for name in text.split(",")]
    return list(dict.fromkeys(name for name in names if name))


def parse_factors(texts: Iterable[str]) -> list[float | None]:
    """Return imbalance factors; `natural` is None.

    Raises:
        UserError: neither a number of at least 1 nor `natural`.
    """
    return [_factor(text) for text in split_commas(texts)]


def parse_range(texts: Iterable[str]) -> tuple[float, float] | None:
    """Return the ends of a range of imbalance factors, "10:200"; None where none is asked for.

    Raises:
        UserError: ends that are no factors or do not rise, or a range among other factors.
    """
    listed = split_commas(texts)
    ranges = [text for text in listed if ":" in text]
    if not ranges:
        return None
    low, _, high = ranges[0].partition(":")
    if len(listed) > 1:
        raise UserError(
            f"The range of imbalance factors {ranges[0]} stands alone; give one range, or single "
            "factors such as 10,50,200."
        )
    ends = _factor(low), _factor(high)
    if ends[0] is None or ends[1] is None or ends[0] >= ends[1]:
        raise UserError(
            f"'{ranges[0]}' is no range of imbalance factors; give the lower and the higher end, "
            "such as 10:200."
        )
    return ends[0], ends[1]


def parse_seeds(text: str) -> list[int]:
    """Return the distinct seeds of "0:3" (0, 1, 2) or "0,4,7".

    Raises:
        UserError: neither of the two, or no seed.
    """
    parts = text.split(":")
    try:
        if len(parts) == 2:
            seeds = list(range(int(parts[0] or 0), int(parts[1])))
        else:
            seeds = [int(part) for part in split_commas([text])]
    except ValueError:
        seeds = []
    if not seeds or min(seeds) < 0:
        raise UserError(f"'{text}' names no seeds; give 0:3 for 0, 1 and 2, or 0,4,7.")
    return list(dict.fromkeys(seeds))


def _made(cls: Any, keywords: Mapping[str, Any]) -> Any:
    hints = get_type_hints(cls)
    values: dict[str, Any] = {}
    for field in fields(cls):
        hint = hints[field.name]
        if is_dataclass(hint):
            values[field.name] = _made(hint, keywords)
        elif field.name in keywords:
            value = keywords[field.name]
            is_path = hint is Path or Path in get_args(hint)
            values[field.name] = Path(value) if is_path and isinstance(value, str) else value
    return cls(**values)


def _factor(text: str) -> float | None:
    if text == NATURAL:
        return None
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 1.0 <= factor < float("inf"):
        raise UserError(
            f"Imbalance factor '{text}' is not possible; give a number of at least 1, the ratio "
            f"of the largest to the smallest training class, or `{NATURAL}`."
        )
    return factor
