"""Plug-ins by file name: `representation/rrl.py` is the representation `rrl`; no registry.

They lie in the package's folders, in files that a person names, and in other packages that declare
them as entry points; `core.outside` finds the last two.
"""

import ast
import importlib
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from lmd_bench.core.errors import UserError, unknown
from lmd_bench.core.outside import KINDS, STAGES, Kind, Outside, folder, outside, packaged
from lmd_bench.core.paths import search_space_file

__all__ = ["Kind", "card", "check_versions", "load", "names", "plugin_class", "space", "version"]

_NEEDED = {"float": ("low", "high"), "int": ("low", "high"), "categorical": ("choices",)}


def names(kind: Kind) -> list[str]:
    """Return the sorted names of all plug-ins of a kind, without importing them.

    Raises:
        UserError: a file from outside that is no plug-in, or two plug-ins of one name.
    """
    return sorted([*packaged(kind), *(plugin.name for plugin in outside() if plugin.kind == kind)])


def load(kind: Kind, name: str) -> ModuleType:
    """Import one plug-in; a broken one of the package fails loudly.

    Raises:
        UserError: no plug-in of that name, or one from outside that is not what it has to be.
    """
    plugin = _find(kind, name)
    if plugin is None:
        return importlib.import_module(f"{KINDS[kind][0]}.{name}")
    return _checked(plugin)


def plugin_class(kind: Kind, name: str) -> Any:
    """Return the class of a plug-in: the one subclass of its kind's base that the file defines."""
    module = load(kind, name)
    classes = _classes(kind, module)
    assert len(classes) == 1, f"{module.__name__} must define one {KINDS[kind][1]}, has {classes}"
    return classes[0]


def card(kind: Kind, name: str) -> str:
    """Return a plug-in's card, its module docstring, without importing it."""
    plugin = _find(kind, name)
    source = (folder(kind) / f"{name}.py").read_text() if plugin is None else plugin.source
    return ast.get_docstring(ast.parse(source)) or ""


def space(kind: Kind, name: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the ranges of a plug-in's settings, as its YAML file holds them.

    Raises:
        UserError: there is no such file.
    """
    plugin = _find(kind, name)
    if plugin is not None:
        return _space_of(plugin)
    try:
        return search_space_file(f"{kind}/{name}.yaml")
    except FileNotFoundError as error:
        path = Path(error.filename)
        raise UserError(
            f"Search space {path.name} is missing; expected it in {path.parent}."
        ) from error


def version(kind: Kind, name: str) -> int | str:
    """Return a plug-in's version; of one from outside followed by what its source hashes to."""
    plugin = _find(kind, name)
    digest = None if plugin is None else plugin.digest
    own = load(kind, name) if kind in STAGES else plugin_class(kind, name)
    declared = int(getattr(own, "VERSION" if kind in STAGES else "version", 1))
    return declared if digest is None else f"{declared}+{digest}"


def check_versions(versions: Mapping[str, int | str]) -> None:
    """Check that the plug-ins from outside which made a trial are here as they were then.

    Args:
        versions: Of the trial's plug-ins, by name.

    Raises:
        UserError: one is not here, or its file is another one by now.
    """
    here = {plugin.name: plugin for plugin in outside()}
    for name, then in versions.items():
        if not isinstance(then, str):
            continue
        if name not in here:
            raise UserError(
                f"The trial was made with the plug-in '{name}' ({then}) from outside lmd-bench, "
                f"which is not here; name its file with --plugin."
            )
        now = version(here[name].kind, name)
        if now != then:
            raise UserError(
                f"The trial was made with the plug-in '{name}' of version {then}, and "
                f"{here[name].path} is version {now}; give the file as it was then."
            )


def _find(kind: Kind, name: str) -> Outside | None:
    """Return a plug-in from outside; None for one of the package.

    Raises:
        UserError: no plug-in of that name.
    """
    for plugin in outside():
        if (plugin.kind, plugin.name) == (kind, name):
            return plugin
    if name not in names(kind):
        raise unknown(kind.removesuffix("s"), name, names(kind))
    return None


def _classes(kind: Kind, module: ModuleType) -> list[type]:
    package, base_name = KINDS[kind]
    base = getattr(importlib.import_module(f"{package}._base"), base_name)
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, base)
        and value.__module__ == module.__name__
    ]


@cache
def _checked(plugin: Outside) -> ModuleType:
    module = plugin.load()
    classes = _classes(plugin.kind, module)
    if len(classes) != 1:
        have = ", ".join(sorted(c.__name__ for c in classes)) or "none"
        raise UserError(
            f"Plug-in {plugin.path} has to define one subclass of {KINDS[plugin.kind][1]}, and has "
            f"{have}."
        )
    if plugin.kind in STAGES:
        _check_settings(plugin, module)
    return module


def _check_settings(plugin: Outside, module: ModuleType) -> None:
    """Check that a stage from outside has settings, and a range for each."""
    config = getattr(module, "Config", None)
    if not hasattr(config, "__dataclass_fields__"):
        raise UserError(
            f"Plug-in {plugin.path} has no dataclass Config of its settings; write one, with a "
            "default for each, or without any."
        )
    settings = {field.name for field in fields(config)}  # pyright: ignore[reportArgumentType]
    ranges = set(_space_of(plugin))
    file = plugin.path.with_suffix(".yaml")
    if settings - ranges:
        raise UserError(
            f"The search space {file} of plug-in '{plugin.name}' lacks "
            f"{', '.join(sorted(settings - ranges))}; write a range for each, or "
            "`{type: fixed}` for what is not searched."
        )
    if ranges - settings:
        raise UserError(
            f"The search space {file} has a range for {', '.join(sorted(ranges - settings))}, "
            f"which Config of plug-in '{plugin.name}' lacks."
        )


def _space_of(plugin: Outside) -> dict[str, dict[str, Any]]:
    file = plugin.path.with_suffix(".yaml")
    try:
        ranges = yaml.safe_load(plugin.space or "") or {}
    except yaml.YAMLError as error:
        raise UserError(f"The search space {file} is not YAML; mend it.") from error
    entries = ranges.items() if isinstance(ranges, dict) else [("", ranges)]
    for name, entry in entries:
        kind = entry.get("type") if isinstance(entry, dict) else None
        if not isinstance(kind, str) or not all(key in entry for key in _NEEDED.get(kind, ())):
            raise UserError(
                f"The search space {file} is to be of lines such as "
                f"`name: {{type: float, low: 0.0, high: 1.0}}`, and has {name}: {entry}."
            )
    return dict(entries)
