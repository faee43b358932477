"""Heads as data: the class of a head and what its constructor takes, as JSON; nothing is pickled.

A head of this package, or one that a plug-in defines in its own file, says by `declared` what its
constructor takes; a value may be a head in turn. Its tensors are kept beside the description.
"""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, Protocol, cast, runtime_checkable

from torch import nn

from lmd_bench.methods.models import heads

Description = Mapping[str, Any]  # {"class": "PowerHead", "values": {"head": {...}, "power": 0.5}}
_CLASS, _VALUES = "class", "values"


@runtime_checkable
class Declared(Protocol):
    """What a head has that can be rebuilt from data."""

    def declared(self) -> dict[str, Any]:
        """Return what the constructor takes: numbers, texts, and heads."""
        ...


class UndescribedHeadError(Exception):
    """A head that says nothing of how it is rebuilt."""


def describe(head: nn.Module, homes: Sequence[ModuleType] = ()) -> Description:
    """Return a head without its tensors, as plain JSON-able data.

    Args:
        head: a linear layer, a head of this package, or one that a plug-in defines.
        homes: files of the plug-ins that may define it.

    Raises:
        UndescribedHeadError: it has no `declared`, or no file here defines its class.
    """
    name = type(head).__name__
    if type(head) is nn.Linear:
        values: dict[str, Any] = {
            "in_features": head.in_features,
            "out_features": head.out_features,
            "bias": "bias" in dict(head.named_parameters(recurse=False)),
        }
    elif isinstance(head, Declared) and _classes(homes).get(name) is type(head):
        values = head.declared()
    else:
        raise UndescribedHeadError(
            f"the head {name} has no method `declared` that says what its constructor takes, or "
            "is not defined in the file of its plug-in"
        )
    of_values = {
        key: describe(value, homes) if isinstance(value, nn.Module) else value
        for key, value in values.items()
    }
    return {_CLASS: name, _VALUES: of_values}


def build(description: Description, homes: Sequence[ModuleType] = ()) -> nn.Module:
    """Return the head that was described; its tensors are to be loaded.

    Raises:
        UndescribedHeadError: no file here defines its class.
    """
    values: dict[str, Any] = {
        key: build(cast("Description", value), homes) if isinstance(value, Mapping) else value
        for key, value in description[_VALUES].items()
    }
    name = description[_CLASS]
    if name == nn.Linear.__name__:
        return nn.Linear(**values)
    if name not in _classes(homes):
        raise UndescribedHeadError(f"no file here defines the head {name}")
    return _classes(homes)[name](**values)


def _classes(homes: Sequence[ModuleType]) -> dict[str, type[nn.Module]]:
    return {
        name: value
        for home in (*homes, heads)
        for name, value in vars(home).items()
        if isinstance(value, type)
        and issubclass(value, nn.Module)
        and value.__module__ == home.__name__
    }
