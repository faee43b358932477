"""An ablation file: YAML in, checked shape out. Its format: docs/ablations.md."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lmd_bench.core import paths
from lmd_bench.core.errors import UserError, unknown
from lmd_bench.core.schema import Config, Scalar
from lmd_bench.core.yaml_text import read_yaml

ROWS, ONE_OUT, ONE_IN, FULL, FRACTIONAL = "rows", "one_out", "one_in", "full", "fractional"
MODES = (ROWS, ONE_OUT, ONE_IN, FULL, FRACTIONAL)
RESOLUTIONS = (3, 4, 5)
_KEYS = frozenset(
    ("title", "base", "base_config", "mode", "reference", "rows", "toggles", "switches")
) | {"retune", "resolution"}
_STAGES = ("method", "representation", "calibration")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.=-]*")


@dataclass(frozen=True)
class Change:
    """What a cell has in place of the base: other stages, other settings."""

    method: str = ""  # a shipped one, in place of the base
    representation: str = ""
    calibration: str = ""
    settings: Config = field(default_factory=dict[str, Scalar])


@dataclass(frozen=True)
class Row:
    """A cell that the file names."""

    name: str
    title: str
    change: Change


@dataclass(frozen=True)
class Toggle:
    """A part of the base that can be taken away."""

    name: str
    title: str
    without: Change  # holds where it is off
    present: Change = Change()  # holds where it is on
    is_switch: bool = False  # one other value of a setting, which has no on and off


@dataclass(frozen=True)
class Document:
    """An ablation file as it was read. Settings are not checked yet."""

    name: str
    title: str
    base: str
    base_config: Config
    mode: str
    reference: str  # a row; "": the base
    rows: tuple[Row, ...]
    toggles: tuple[Toggle, ...]  # switches after them
    retune: int
    resolution: int


def shipped() -> list[str]:
    """Return the names of the ablations in `search_spaces/ablations`."""
    return sorted(path.stem for path in (paths.search_spaces() / "ablations").glob("*.yaml"))


def read_document(given: str) -> Document:
    """Return the ablation of a file, or of a shipped one by its name.

    Raises:
        UserError: no such file, no YAML, or not of the shape that an ablation has.
    """
    path = Path(given)
    if path.suffix not in (".yaml", ".yml"):
        if given not in shipped():
            raise unknown("ablation", given, shipped())
        path = paths.search_spaces() / "ablations" / f"{given}.yaml"
    data = read_yaml(path, "ablation file", f"give a path, or one of {', '.join(shipped())}")
    return parse_document(data, path.stem)


def parse_document(data: Any, name: str) -> Document:
    """Return the ablation that YAML gave.

    Raises:
        UserError: not of the shape that an ablation has.
    """
    entry = _mapping(data, f"Ablation '{name}'")
    for key in entry:
        if key not in _KEYS:
            raise unknown("part of an ablation", key, _KEYS)
    if not isinstance(entry.get("base"), str):
        raise UserError(f"Ablation '{name}' names no base; write a method, such as `base: lmd`.")
    rows = tuple(_row(k, v) for k, v in _mapping(entry.get("rows"), "rows").items())
    toggles = tuple(_toggle(k, v) for k, v in _mapping(entry.get("toggles"), "toggles").items())
    switches = _switches(_mapping(entry.get("switches"), "switches"))
    mode = entry.get("mode", ROWS if rows and not toggles else ONE_OUT)
    return Document(
        name=name,
        title=str(entry.get("title", name)),
        base=entry["base"],
        base_config=_mapping(entry.get("base_config"), "base_config"),
        mode=str(mode),
        reference=str(entry.get("reference", "")),
        rows=rows,
        toggles=toggles + switches,
        retune=_whole(entry.get("retune", 0), "retune", range(10**6)),
        resolution=_whole(entry.get("resolution", 4), "resolution", RESOLUTIONS),
    )


def _row(name: Any, data: Any) -> Row:
    where = f"Row '{_name(name, 'row')}'"
    entry = dict(_mapping(data, where))
    title = str(entry.pop("title", name))
    return Row(str(name), title, _change(entry, where))


def _toggle(name: Any, data: Any) -> Toggle:
    where = f"Toggle '{_name(name, 'toggle')}'"
    entry = _mapping(data, where)
    for key in entry:
        if key not in ("title", "with", "without"):
            raise UserError(
                f"{where} has '{key}'; it takes `without:` (what holds where it is off), "
                "and if need be `with:` and `title:`."
            )
    if not entry.get("without"):
        raise UserError(
            f"{where} says not what holds where it is off; add `without:`, such as "
            "`without: {rrl.batch_loss_weight: 0}`."
        )
    return Toggle(
        name=str(name),
        title=str(entry.get("title", name)),
        without=_change(_mapping(entry["without"], where), where),
        present=_change(_mapping(entry.get("with"), where), where),
    )


def _switches(data: Mapping[str, Any]) -> tuple[Toggle, ...]:
    switches: list[Toggle] = []
    for key, values in data.items():
        if not isinstance(values, list) or not values:
            raise UserError(
                f"Switch {key} lists no values; write the others than the base's, such as "
                "`icc.fdc_form: [hinge, qda_ce]`."
            )
        for value in values:
            text = str(value).lower() if isinstance(value, bool) else str(value)
            name = _name(f"{key}={text}", "switch")
            switches.append(Toggle(name, name, _change({key: value}, name), is_switch=True))
    return tuple(switches)


def _change(entry: Mapping[str, Any], where: str) -> Change:
    stages = {key: value for key, value in entry.items() if key in _STAGES}
    settings = {key: value for key, value in entry.items() if key not in _STAGES}
    for key, value in stages.items():
        if not isinstance(value, str):
            raise UserError(f"{where}: {key}: {value} is no name of a {key}.")
    for key, value in settings.items():
        if "." not in key or not isinstance(value, str | int | float | bool):
            raise UserError(
                f"{where}: {key}: {value} is neither a setting with its value, such as "
                f"`icc.fdc_weight: 0`, nor one of {', '.join(_STAGES)}."
            )
    return Change(**stages, settings=settings)


def _mapping(data: Any, where: str) -> Mapping[str, Any]:
    if data is None:
        return {}
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise UserError(
            f"{where} is not a mapping of names; write `name: value` lines, and quote names that "
            "YAML takes for something else (on, off, yes, no, numbers)."
        )
    return data


def _name(name: Any, kind: str) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UserError(
            f"The {kind} '{name}' has a name that cannot be used; take letters, digits, _, -, . "
            "and =, a letter or digit first."
        )
    return name


def _whole(value: Any, name: str, allowed: Any) -> int:
    if type(value) is not int or value not in allowed:
        choices = "a number from 0" if isinstance(allowed, range) else ", ".join(map(str, allowed))
        raise UserError(f"{name}: {value} is not possible; give {choices}.")
    return value
