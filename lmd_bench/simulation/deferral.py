"""When a stage 1 may first be judged, read from its file without importing torch.

A plug-in's `deferral` is a function of its config alone. It is compiled from the source of the
plug-in, so that what a replay takes is what a search takes; a test compares the two for each.
"""

import ast
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lmd_bench
from lmd_bench.errors import unknown
from lmd_bench.plugins import names
from lmd_bench.schema import Config


def deferral_of(representation: str, config: Config) -> float:
    """Return the share of stage 1 before which a run with this config says nothing of its end.

    Args:
        representation: Name of stage 1.
        config: Complete; its keys of other sections are not looked at.

    Raises:
        UserError: no representation of that name.
    """
    prefix = f"{representation}."
    own = {k.removeprefix(prefix): v for k, v in config.items() if k.startswith(prefix)}
    return float(_declared(representation)(None, SimpleNamespace(**own)))


@cache
def _declared(representation: str) -> Callable[[None, SimpleNamespace], float]:
    """Return the plug-in's function, or that of the base class where it has none of its own."""
    if representation not in names("representation"):
        raise unknown("representation", representation, names("representation"))
    folder = Path(lmd_bench.__file__).parent / "representation"
    for file in (f"{representation}.py", "_base.py"):
        found = _function((folder / file).read_text())
        if found is not None:
            return found
    raise AssertionError("the base class declares a deferral")


def _function(source: str) -> Callable[[None, SimpleNamespace], float] | None:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.name == "deferral":
            node.decorator_list = []
            node.returns = None
            for argument in node.args.args:
                argument.annotation = None
            code = compile(ast.Module([node], type_ignores=[]), "deferral", "exec")
            scope: dict[str, Any] = {}
            exec(code, scope)
            return scope["deferral"]
    return None
