"""YAML that people write, read strictly: one value for one key, no tags, and no surprises of 1.1.

PyYAML follows YAML 1.1, which reads `10:50` as 650, `no` as false, `017` as 15 and `1e-3` as a
text. What is read and written here follows the core schema of YAML 1.2, where all of these are what
they look like.
"""

import re
from pathlib import Path
from typing import Any, TypeVar

import yaml

from lmd_bench.core.errors import UserError

_TAG = "tag:yaml.org,2002:"
_RESOLVERS = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)"
        r"|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if getattr(event, "tag", None) is not None:
            raise yaml.MarkedYAMLError(
                problem=f"it has a tag, {event.tag}, and tags are not read",
                problem_mark=event.start_mark,
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        # YAML itself would silently keep the last of two.
        seen: set[Any] = set()
        for key, _ in node.value:
            if isinstance(key.value, str) and key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"'{key.value}' comes twice", problem_mark=key.start_mark
                )
            seen.add(key.value if isinstance(key.value, str) else id(key))
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers = {}

    def ignore_aliases(self, data: Any) -> bool:
        return True


D = TypeVar("D", type[_Loader], type[_Dumper])


def _resolving(cls: D) -> D:
    for name, pattern, first in _RESOLVERS:
        cls.add_implicit_resolver(_TAG + name, re.compile(f"^(?:{pattern})$"), first)
    return cls


_resolving(_Loader)
_resolving(_Dumper)
_Loader.add_constructor(_TAG + "int", lambda loader, node: int(node.value))


def read_yaml(path: Path, kind: str, hint: str = "") -> Any:
    """Return what a YAML file holds.

    Args:
        path: Of the file.
        kind: What the file is to the person, as in "The points file study.yaml".
        hint: What to do where it cannot be read.

    Raises:
        UserError: it cannot be read, is not YAML, has a tag, or a key that comes twice.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506
    except OSError as error:
        told = f"; {hint}" if hint else ""
        raise UserError(
            f"The {kind} {path} cannot be read ({error.strerror or error}){told}."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be decoded"
        raise UserError(f"The {kind} {path} is not YAML{line}: {problem}.") from None


def yaml_text(data: Any) -> str:
    """Return plain data as YAML that `read_yaml` reads back the same, keys in their order."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
