"""docs/results-folder.md and the schemas say the same."""

import re
from pathlib import Path

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


def _spelled(kind: str) -> str:
    inner = re.fullmatch(r"list<(?:element|item): (\w+)>", kind)
    if inner:
        return f"list of {_spelled(inner[1])}"
    return {"double": "float64", "float": "float32"}.get(kind, kind)
