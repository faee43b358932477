"""The Typer app, and what its commands share."""

import shlex
import sys
from typing import TYPE_CHECKING

import typer

from lmd_bench.cli.options import TaskOptions
from lmd_bench.core.errors import UserError

if TYPE_CHECKING:
    from lmd_bench.core.schema import TaskSpec

app = typer.Typer(
    name="lmd-bench",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Fair, resumable benchmarking of long-tailed medical image classification.",
)


def one_task(dataset: str, factor: str, cut: TaskOptions) -> "TaskSpec":
    """Return the task that options ask for.

    Raises:
        UserError: several factors, or a task that cannot be had.
    """
    from lmd_bench.cli.parsing import parse_factors
    from lmd_bench.data.build import task_specs

    factors = parse_factors([factor])
    if len(factors) != 1:
        raise UserError(f"This command takes one imbalance factor, but '{factor}' came.")
    specs = task_specs([dataset], factors, cut.protocol, cut.split_seed, cut.image_size, cut.n_max)
    return specs[0]


def command_line() -> str:
    """Return the command as it was typed, for the rows."""
    return "lmd-bench " + shlex.join(sys.argv[1:])
