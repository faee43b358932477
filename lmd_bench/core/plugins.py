"""Plug-ins by file name: `representation/rrl.py` is the representation `rrl`; no registry."""

import ast
import importlib
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from lmd_bench.core.errors import unknown

Kind = Literal["representation", "calibration", "datasets"]
_FOLDERS = {
    "representation": "methods.representation",
    "calibration": "methods.calibration",
    "datasets": "data.datasets",
}
_BASES = {
    "representation": "Representation",
    "calibration": "Calibration",
    "datasets": "Dataset",
}


def names(kind: Kind) -> list[str]:
    """Return the sorted names of all plug-ins of a kind, without importing them."""
    folder = _folder(kind)
    return sorted(file.stem for file in folder.glob("[!_]*.py"))


def load(kind: Kind, name: str) -> ModuleType:
    """Import one plug-in; a broken one fails loudly.

    Raises:
        UserError: no plug-in of that name.
    """
    if name not in names(kind):
        raise unknown(kind.removesuffix("s"), name, names(kind))
    return importlib.import_module(f"lmd_bench.{_FOLDERS[kind]}.{name}")


def plugin_class(kind: Kind, name: str) -> Any:
    """Return the class of a plug-in: the one subclass of its kind's base that the file defines."""
    module = load(kind, name)
    base = getattr(importlib.import_module(f"lmd_bench.{_FOLDERS[kind]}._base"), _BASES[kind])
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, base)
        and value.__module__ == module.__name__
    ]
    assert len(classes) == 1, f"{module.__name__} must define one {_BASES[kind]}, has {classes}"
    return classes[0]


def card(kind: Kind, name: str) -> str:
    """Return a plug-in's card, its module docstring, without importing it."""
    if name not in names(kind):
        raise unknown(kind.removesuffix("s"), name, names(kind))
    source = (_folder(kind) / f"{name}.py").read_text()
    return ast.get_docstring(ast.parse(source)) or ""


def _folder(kind: Kind) -> Path:
    return Path(__file__).resolve().parents[1].joinpath(*_FOLDERS[kind].split("."))
