"""Every command and every Python block of README and docs runs, or says why it is not run here."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lmd_bench.cli import app
from tests.docs.blocks import ALL, ROOT, Block

# `console` is what Typer writes: the usage lines of docs/cli.md.
LANGUAGES = {"bash", "python", "text", "yaml", "console"}


def _named(language: str, *, slow: bool):
    chosen = [b for b in ALL if b.language == language and b.is_run and b.is_slow == slow]
    return pytest.mark.parametrize("block", chosen, ids=[block.name for block in chosen])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder that has the reference results where the pages say they are."""
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "reference").symlink_to(ROOT / "results" / "reference")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("block", ALL, ids=[block.name for block in ALL])
def test_every_block_says_its_language_so_that_no_command_goes_untried(block: Block):
    assert block.language in LANGUAGES, f"{block.page.name}:{block.line}"
    if block.language == "text":
        assert not block.text.lstrip().startswith("lmd-bench ")


@pytest.mark.parametrize(
    "block",
    [block for block in ALL if block.mark],
    ids=[block.name for block in ALL if block.mark],
)
def test_the_comment_before_a_block_is_one_that_the_tests_know(block: Block):
    assert re.fullmatch(r"slow|not run: \w.+", block.mark), block.mark


@_named("bash", slow=False)
def test_the_quick_commands_of_the_pages_run(block: Block, folder: Path):
    for command in block.commands:
        words = shlex.split(command, comments=True)
        if words[0] == "make":
            # Make's own dry run: the target exists, and so does all it depends on.
            subprocess.run([*words, "-n"], cwd=ROOT, check=True, capture_output=True)
            continue
        assert words[0] == "lmd-bench", command
        result = CliRunner().invoke(app, words[1:])
        assert result.exit_code == 0, f"{command}\n{result.output}\n{result.exception!r}"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@_named("bash", slow=True)
def test_the_commands_of_the_pages_that_start_ray_run(block: Block, folder: Path):
    for command in block.commands:
        words = shlex.split(command, comments=True)
        assert words[0] == "lmd-bench", command
        done = subprocess.run(
            [sys.executable, str(ROOT / "cli.py"), *words[1:]],
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@_named("python", slow=False)
def test_the_quick_python_of_the_pages_runs(block: Block, folder: Path):
    exec(compile(block.text, block.name, "exec"), {"__name__": "__main__"})


@pytest.mark.slow
@pytest.mark.timeout(1800)
@_named("python", slow=True)
def test_the_python_of_the_pages_that_trains_runs(block: Block, folder: Path):
    (folder / "block.py").write_text(block.text)
    done = subprocess.run(
        [sys.executable, "block.py"],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
