"""Names in the tables of a terminal."""

import io
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

import lmd_bench
from lmd_bench.core.tables import add_plain_row

ROOM = Path(lmd_bench.__file__).parent


@pytest.mark.parametrize("name", ["[red]", "a [/x]", ":heart:", "[bold", "ends \\", "[link=x]y[/]"])
def test_a_name_stands_in_its_row_as_it_is(name):
    table = Table("name", "trials")
    add_plain_row(table, name, "3")
    console = Console(file=io.StringIO(), width=80)
    console.print(table)
    (line,) = [line for line in console.file.getvalue().splitlines() if "3" in line]
    assert [cell.strip() for cell in line.strip("│").split("│")] == [name, "3"]


def test_no_table_of_the_command_line_takes_a_name_for_markup():
    files = [*(ROOM / "cli").glob("*.py"), *(ROOM / "search").rglob("*.py")]
    assert [path.name for path in files if ".add_row(" in path.read_text()] == []
