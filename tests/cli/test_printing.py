"""Only the command line, and the display of a search, print."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import lmd_bench
from lmd_bench.cli import app
from lmd_bench.core.errors import UserError

PACKAGE = Path(lmd_bench.__file__).parent
MAY_PRINT = (
    "cli",
    "search/display.py",
    "__main__.py",
    "tracking/follow.py",
)  # the last is a program, into a log
LIBRARY = [
    path
    for path in sorted(PACKAGE.rglob("*.py"))
    if not path.relative_to(PACKAGE).as_posix().startswith(MAY_PRINT)
]


def _prints(source: str) -> Iterator[int]:
    """Yield the lines that write to the screen; a console that is captured writes nowhere."""
    captured = ".capture()" in source
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in ("print", "typer.echo") or (called.endswith(".print") and not captured):
                yield node.lineno
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in ("sys.stdout", "sys.stderr"):
            yield node.lineno


@pytest.mark.parametrize("line", ["print('a')", "console.print(table)", "sys.stderr.write('a')"])
def test_each_way_to_print_is_seen(line: str) -> None:
    assert list(_prints(line)) == [1]


def test_only_the_command_line_prints() -> None:
    printing = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in LIBRARY
        for line in _prints(path.read_text(encoding="utf-8"))
    ]
    assert printing == []


@pytest.mark.parametrize("format", ["table", "json"])
def test_a_part_of_what_shows_all_parts_is_refused(format: str) -> None:
    root = "results/reference/adapter"
    words = ["imbalance", "--results", root, "--format", format, "--part", "ranges"]
    with pytest.raises(UserError, match="--part names what a CSV holds"):
        CliRunner().invoke(app, words, catch_exceptions=False)
