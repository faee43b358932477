"""The command line: parse, call, print. Heavy imports wait until a command needs them."""

import sys
from typing import NoReturn

from lmd_bench.cli import ablation, data, methods, report, simulation, store, sweeps
from lmd_bench.cli import compare as statistics
from lmd_bench.cli import leaderboard as reading
from lmd_bench.cli import search as runs
from lmd_bench.cli import watching as state
from lmd_bench.cli.app import app, arrange
from lmd_bench.core.errors import UserError

__all__ = [
    "ablation",
    "app",
    "data",
    "main",
    "methods",
    "reading",
    "report",
    "runs",
    "simulation",
    "state",
    "statistics",
    "store",
    "sweeps",
]

arrange()


def main() -> NoReturn:
    """Run the command line; a UserError is one sentence on stderr and exit code 2."""
    try:
        app()
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)
    sys.exit(0)
