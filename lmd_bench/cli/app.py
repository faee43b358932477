"""The Typer app, and what its commands share."""

import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from typer.models import CommandInfo

from lmd_bench.cli.option_groups import with_config, with_plugins
from lmd_bench.core.errors import UserError
from lmd_bench.data.options import TaskOptions

if TYPE_CHECKING:
    from lmd_bench.core.schema import TaskSpec

app = typer.Typer(
    name="lmd-bench",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


# The commands as help shows them: in the order in which a person works.
PANELS = {
    "Run": ("search", "sweep", "ablate", "transfer", "confirm", "train"),
    "Read": (
        *("leaderboard", "compare", "intervals", "ranks", "tuning", "imbalance"),
        *("clinic", "paper"),
        *("report", "simulate", "portfolio"),
    ),
    "Use the model": ("predict", "export", "evaluate"),
    "Data and methods": (
        *("datasets", "methods", "download", "prepare", "views", "check"),
        *("new", "check-plugin"),
    ),
    "Watch": ("status", "watch", "failures", "doctor", "dashboard"),
    "Results folder": ("explain", "reproduce", "merge", "compact", "clean", "sync"),
    "Give away": ("submit", "verify", "publish"),
}


# What looks up methods, data sets or metrics by name takes --plugin.
LOOKING_UP = {
    *PANELS["Run"],
    *PANELS["Use the model"],
    *PANELS["Data and methods"],
    *("simulate", "reproduce", "report", "dashboard", "leaderboard", "compare", "sync"),
    *("verify", "publish", "portfolio"),
}


def arrange() -> None:
    """Put the commands, once all are registered, in their panels and in order."""
    panel_of = {name: panel for panel, names in PANELS.items() for name in names}
    places = list(panel_of)
    for command in app.registered_commands:
        name = command_name(command)
        command.rich_help_panel = panel_of[name]
        assert command.callback is not None, "each command is a function"
        if name in LOOKING_UP:
            command.callback = with_plugins(command.callback)
        command.callback = with_config(command.callback)
    app.registered_commands.sort(key=lambda command: places.index(command_name(command)))


def command_name(command: CommandInfo) -> str:
    """Return the word that calls a command."""
    return command.name or getattr(command.callback, "__name__", "")


def _print_version(asked: bool) -> bool:
    if asked:
        from lmd_bench import __version__

        print(f"lmd-bench {__version__}")
        raise typer.Exit
    return asked


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Fair, resumable benchmarking of long-tailed medical image classification."""


def one_task(dataset: str, factor: str, cut: TaskOptions) -> "TaskSpec":
    """Return the task that options ask for.

    Raises:
        UserError: several factors, or a task that cannot be had.
    """
    from lmd_bench.core.options import parse_factors
    from lmd_bench.data.build import task_specs

    factors = parse_factors([factor])
    if len(factors) != 1:
        raise UserError(f"This command takes one imbalance factor, but '{factor}' came.")
    specs = task_specs([dataset], factors, *cut.ways)
    return specs[0]


def command_line() -> str:
    """Return the command as it was typed, for the rows."""
    return "lmd-bench " + shlex.join(sys.argv[1:])
