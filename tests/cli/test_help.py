"""The help of the command line: panels in the order of work, choices by name, 80 columns."""

import os
import subprocess
import sys
from typing import get_args

import pytest
from typer.testing import CliRunner

from lmd_bench.cli import app, completion
from lmd_bench.cli.app import PANELS, command_name
from lmd_bench.cli.leaderboard import Rule
from lmd_bench.core.schema import EQUAL_PRIOR, MOST_FOLDS
from lmd_bench.data.options import Protocol, TaskOptions
from lmd_bench.data.tasks.protocols import PROTOCOLS
from lmd_bench.leaderboard.studies.rules import RULES
from lmd_bench.search.options import Pruner, Sampler
from lmd_bench.search.proposing.pruning import NONE, PRUNERS
from lmd_bench.search.proposing.samplers import SAMPLERS

COMMANDS = [name for names in PANELS.values() for name in names]


def help_of(*command: str) -> str:
    result = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    return result.output


def test_every_command_has_its_panel_and_its_place():
    assert [command_name(command) for command in app.registered_commands] == COMMANDS
    text = help_of()
    titles = [text.index(f"─ {panel} ─") for panel in PANELS]
    assert titles == sorted(titles)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits_80_columns(command: str):
    lines = help_of(*command.split()).splitlines()
    assert max(map(len, lines)) <= 80


def test_the_options_of_a_search_stand_in_groups():
    text = help_of("search")
    panels = ("Task", "Data", "Budget", "Proposing", "Confirmation", "Resources")
    assert all(f"─ {panel} ─" in text for panel in panels)


def test_choices_are_those_that_the_library_knows():
    in_rows = {TaskOptions(protocol=name).ways[0] for name in get_args(Protocol)}
    in_rows |= {TaskOptions(folds=number).ways[0] for number in range(2, MOST_FOLDS + 1)}
    assert in_rows == set(PROTOCOLS)
    assert set(PROTOCOLS) >= EQUAL_PRIOR
    assert set(get_args(Sampler)) == set(SAMPLERS)
    assert set(get_args(Pruner)) == {NONE, *PRUNERS}
    assert set(get_args(get_args(Rule)[0])) == set(RULES)


def test_a_choice_that_is_none_is_refused_with_those_there_are():
    command = ["search", "--dataset", "synthetic", "--protocol", "best"]
    result = CliRunner().invoke(app, command, env={"COLUMNS": "80"})
    assert result.exit_code == 2
    assert "'balanced'" in result.output


def test_the_version_is_printed():
    assert CliRunner().invoke(app, ["--version"]).output.startswith("lmd-bench ")


def test_names_are_completed_also_after_a_comma():
    assert "isic2019" in completion.datasets("isi")
    assert completion.methods("crt,tau") == ["crt,tau_norm"]
    assert "core" in completion.methods("co")


def test_a_shell_completes_methods():
    script = "from lmd_bench.cli import app; app(prog_name='lmd-bench')"
    words = {
        "_LMD_BENCH_COMPLETE": "complete_bash",
        "COMP_WORDS": "lmd-bench search --method ldam",
        "COMP_CWORD": "3",
    }
    run = subprocess.run(
        [sys.executable, "-c", script],
        env=dict(os.environ) | words,
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.stdout.split() == ["ldam_drw"]
