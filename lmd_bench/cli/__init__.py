"""The command line: parse, call, print. Heavy imports wait until a command needs them."""

import sys
from typing import NoReturn

from lmd_bench.cli import (
    ablation,
    clinic,
    compare,
    data,
    download,
    evaluate,
    leaderboard,
    methods,
    model,
    plugins,
    portfolio,
    publication,
    report,
    search,
    simulation,
    store,
    sweeps,
    watching,
)
from lmd_bench.cli.app import app, arrange
from lmd_bench.core.errors import UserError
from lmd_bench.core.machine import share_cores

__all__ = [
    "ablation",
    "app",
    "clinic",
    "compare",
    "data",
    "download",
    "evaluate",
    "leaderboard",
    "main",
    "methods",
    "model",
    "plugins",
    "portfolio",
    "publication",
    "report",
    "search",
    "simulation",
    "store",
    "sweeps",
    "watching",
]

arrange()


def main() -> NoReturn:
    """Run the command line; a UserError is one sentence on stderr and exit code 2."""
    share_cores()
    try:
        app()
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)
    sys.exit(0)
