"""docs/results-folder.md and the schemas say the same."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pyarrow as pa

from lmd_bench.core.schema import CurvePoint, TrialRow
from lmd_bench.store.columns import COLUMNS, LOGITS

PAGE = Path(__file__).parents[2] / "docs" / "results-folder.md"


def test_the_page_explains_every_column_and_no_other() -> None:
    explained = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), flags=re.MULTILINE)

    assert explained == [*COLUMNS.names, *LOGITS.names]


def test_the_page_gives_each_column_its_type() -> None:
    types = dict(re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", PAGE.read_text(), flags=re.MULTILINE))

    for field in (*COLUMNS, *LOGITS):
        kind = "list of points" if field.name == "curve" else _spelled(str(field.type))
        assert types[field.name] == kind + ("?" if field.nullable else "")


def test_a_trial_row_is_typed_as_its_columns_are() -> None:
    hints = get_type_hints(TrialRow)

    assert set(hints) == set(COLUMNS.names)
    for field in COLUMNS:
        allowed = get_args(hints[field.name]) if field.nullable else (hints[field.name],)
        assert (type(None) in allowed) == field.nullable, field.name
        (kind,) = (hint for hint in allowed if hint is not type(None))
        assert _is_typed_as(kind, field.type), field.name


def _is_typed_as(hint: Any, kind: pa.DataType) -> bool:
    if get_origin(hint) is Literal:
        return pa.types.is_string(kind)
    if get_origin(hint) is list:
        return pa.types.is_list(kind) and _is_typed_as(*get_args(hint), kind.value_type)
    if hint is CurvePoint:
        points = get_type_hints(CurvePoint)
        return list(points) == [field.name for field in kind] and all(
            _is_typed_as(points[field.name], field.type) for field in kind
        )
    checks: dict[type, Callable[[pa.DataType], bool]] = {
        bool: pa.types.is_boolean,
        int: pa.types.is_integer,
        float: pa.types.is_floating,
        str: pa.types.is_string,
    }
    return checks[hint](kind)


def _spelled(kind: str) -> str:
    inner = re.fullmatch(r"list<(?:element|item): (\w+)>", kind)
    if inner:
        return f"list of {_spelled(inner[1])}"
    return {"double": "float64", "float": "float32"}.get(kind, kind)
