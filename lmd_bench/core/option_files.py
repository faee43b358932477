"""Options in a YAML file: read, written, and described to editors, from one list of what they are.

A file holds what the command line would: `trials: 40`, `method: [lmd, crt]`. Names are those of the
options, with dashes or underscores.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from lmd_bench.core.errors import UserError, unknown
from lmd_bench.core.options import Option, from_keywords
from lmd_bench.core.yaml_text import read_yaml, yaml_text

T = TypeVar("T")
_KINDS = {
    bool: ("true or false", "boolean"),
    int: ("a whole number", "integer"),
    float: ("a number", "number"),
    str: ("a text", "string"),
    Path: ("a path", "string"),
}


@dataclass(frozen=True)
class Entry:
    """One option as a file may name it."""

    name: str  # in Python
    kind: Any  # its type, without notes
    option: Option
    names: tuple[str, ...]  # in a file, with underscores, the one that is written first


def entries(cls: Any) -> Iterator[Entry]:
    """Yield the options of a dataclass, those of its groups included."""
    hints = get_type_hints(cls, include_extras=True)
    for field in fields(cls):
        hint = hints[field.name]
        if is_dataclass(hint):
            yield from entries(hint)
            continue
        kind, *notes = get_args(hint)
        option = next(note for note in notes if isinstance(note, Option))
        flag = file_name(option.flag or field.name)
        yield Entry(field.name, kind, option, tuple(dict.fromkeys((flag, field.name))))


def file_name(flag: str) -> str:
    """Return what a file calls the option of a flag: `--confirm-seeds` is `confirm_seeds`."""
    return flag.lstrip("-").replace("-", "_")


def read_options(path: Path, known: Iterable[Entry]) -> dict[str, Any]:
    """Return the options of a file by their names in Python; those that are null are left out.

    Raises:
        UserError: no such file, not YAML, an option that is none of `known`, one that comes under
            two names, or a value that it cannot have.
    """
    data = read_yaml(path, "file of options")
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise UserError(
            f"The file of options {path} is no mapping; write one option a line, such as "
            "`trials: 40`."
        )
    by_name = {name: entry for entry in known for name in entry.names}
    values: dict[str, Any] = {}
    for given, value in data.items():
        name = str(given).replace("-", "_")
        if name not in by_name:
            raise unknown(f"option in {path}:", str(given), by_name)
        entry = by_name[name]
        if entry.name in values:
            raise UserError(f"Option {given} comes twice in {path}; leave one of them out.")
        if value is not None:
            values[entry.name] = _typed(entry, value, f"Option {given} in {path}")
    return values


def from_values(cls: type[T], values: Mapping[str, Any], path: Path) -> T:
    """Return a dataclass of options, made of what `read_options` gave and of keywords.

    Args:
        cls: Of the options.
        values: By their names in Python.
        path: Of the file that they were read from.

    Raises:
        UserError: no such option, or one that has to be given and is not.
    """
    needed = {field.name for field in fields(cast(Any, cls)) if field.default is MISSING}
    for name in sorted(needed - values.keys()):
        raise UserError(f"The file of options {path} has no {name}; add it.")
    return from_keywords(cls, values)


def plain_options(options: Any) -> dict[str, Any]:
    """Return a dataclass of options as a file holds it, all values but None, paths absolute."""
    flat = dict(_flat(options))
    written: dict[str, Any] = {}
    for entry in entries(type(options)):
        value = flat[entry.name]
        if value is not None:
            is_word = str(value) in entry.option.words
            written[entry.names[0]] = str(value) if is_word else _plain(value)
    return written


def options_text(data: Mapping[str, Any], comment: str) -> str:
    """Return the text of a file that holds `data`, under a line of comment."""
    return f"# {comment}\n" + yaml_text(dict(data))


def schema(known: Iterable[Entry]) -> dict[str, Any]:
    """Return the JSON schema of a file of options, for editors."""
    properties = {
        name: {**_schema_of(entry), "description": entry.option.help}
        for entry in known
        for name in entry.names
    }
    return {"type": "object", "additionalProperties": False, "properties": properties}


def bare(hint: Any) -> Any:
    """Return a type hint without notes and without `None`."""
    if hasattr(hint, "__metadata__"):
        hint = get_args(hint)[0]
    if get_origin(hint) in (Union, UnionType):
        hint = next(kind for kind in get_args(hint) if kind is not type(None))
    return hint


def _typed(entry: Entry, value: Any, where: str) -> Any:
    kind = bare(entry.kind)
    if get_origin(kind) is not list:
        return _single(entry, kind, value, where)
    if entry.option.pairs and isinstance(value, dict):
        return [_pair(key, of, where) for key, of in value.items()]
    inner = get_args(kind)[0]
    listed = value if isinstance(value, list) else [value]
    return [_single(entry, inner, item, where) for item in listed]


def _single(entry: Entry, kind: Any, value: Any, where: str) -> Any:
    if get_origin(kind) is Literal:
        choices = [str(choice) for choice in get_args(kind)]
        if value not in choices:
            raise UserError(f"{where} is {_shown(value)}; choose from {', '.join(choices)}.")
        return value
    if not _fits(kind, value):
        raise UserError(f"{where} is {_shown(value)}, and takes {_KINDS[kind][0]}.")
    low, high = entry.option.low, entry.option.high
    if (low is not None and value < low) or (high is not None and value > high):
        ends = [f"of at least {low}"] if low is not None else []
        ends += [f"of at most {high}"] if high is not None else []
        raise UserError(f"{where} is {value}, and takes a number {' and '.join(ends)}.")
    if kind is Path:
        return _path(value, where)
    # `imbalance_factor: 100` needs no quotes.
    return str(value) if kind is str else value


def _fits(kind: Any, value: Any) -> bool:
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    if kind is Path:
        return isinstance(value, str)
    accepted = {int: int, float: (int, float), str: (str, int, float)}
    return isinstance(value, accepted[kind])


def _path(text: str, where: str) -> Path:
    for name in re.findall(r"\$\{(\w+)\}", text):
        if name not in os.environ:
            raise UserError(
                f"{where} names ${{{name}}}, which is not set; set it, or write it out."
            )
        text = text.replace(f"${{{name}}}", os.environ[name])
    return Path(text).expanduser()


def _pair(key: Any, value: Any, where: str) -> str:
    if isinstance(value, dict | list) or value is None:
        raise UserError(f"{where} has {key}: {_shown(value)}; give each setting one value.")
    return f"{key}={value if isinstance(value, str) else json.dumps(value)}"


def _shown(value: Any) -> str:
    return json.dumps(value, default=str)


def _flat(options: Any) -> Iterator[tuple[str, Any]]:
    for field in fields(options):
        value = getattr(options, field.name)
        if is_dataclass(value):
            yield from _flat(value)
        else:
            yield field.name, value


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value.expanduser().resolve())
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _schema_of(entry: Entry) -> dict[str, Any]:
    kind = bare(entry.kind)
    if get_origin(kind) is not list:
        return _schema_of_single(kind, entry.option)
    single = _schema_of_single(get_args(kind)[0], entry.option)
    ways = [single, {"type": "array", "items": single}]
    return {"anyOf": [*ways, {"type": "object"}] if entry.option.pairs else ways}


def _schema_of_single(kind: Any, option: Option) -> dict[str, Any]:
    if get_origin(kind) is Literal:
        return {"enum": [str(choice) for choice in get_args(kind)]}
    if kind is str:
        return {"type": ["string", "number"]}
    ends = {"minimum": option.low, "maximum": option.high}
    return {"type": _KINDS[kind][1]} | {k: v for k, v in ends.items() if v is not None}
