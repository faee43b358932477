"""Tables of a terminal whose cells are names: of classes, methods, files or hosts."""

from rich.table import Table
from rich.text import Text


def add_plain_row(table: Table, *cells: str) -> None:
    """Add a row whose texts stand as they are: `[red]` is no markup in them, `:heart:` no emoji."""
    table.add_row(*map(Text, cells))
