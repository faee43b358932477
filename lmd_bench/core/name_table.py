"""A table whose first column holds names, which a narrow terminal breaks but never cuts."""

from rich.box import SIMPLE_HEAD
from rich.table import Column, Table


def name_table(names: str, *heads: str) -> Table:
    """Return an empty table: a column of names, then columns of short values that stay whole."""
    short = [Column(head, no_wrap=True) for head in heads]
    return Table(Column(names, overflow="fold"), *short, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
