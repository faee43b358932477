"""The examples run as they stand, by the public interface alone."""

import ast
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT

EXAMPLES = ROOT / "examples"
NOTEBOOK = EXAMPLES / "read_results.ipynb"


def _run(script: Path, *arguments: str, folder: Path) -> str:
    """Run an example in `folder` and return what it printed."""
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def _code(example: Path) -> str:
    if example.suffix == ".py":
        return example.read_text()
    return "\n\n".join(
        "".join(cell["source"])
        for cell in json.loads(example.read_text())["cells"]
        if cell["cell_type"] == "code"
    )


LONE = {"load_exported.py"}  # shows what needs no lmd-bench
EVERY = sorted([*EXAMPLES.glob("*.py"), *EXAMPLES.glob("*.ipynb")])


@pytest.mark.parametrize("example", EVERY, ids=[example.name for example in EVERY])
def test_an_example_imports_nothing_below_the_public_interface(example: Path):
    imported: set[str] = set()
    for node in ast.walk(ast.parse(_code(example))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    assert not [name for name in imported if name.startswith("lmd_bench.")]
    assert ("lmd_bench" in imported) == (example.name not in LONE)


def test_the_notebook_finds_no_rrl_encoder_that_was_kept_before_rrl_began(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(ROOT)
    exec(compile(_code(NOTEBOOK), NOTEBOOK.name, "exec"), {"__name__": "__main__"})
    said = "0 of 288 encoders with a hard ramp were kept before RRL began"
    assert said in capsys.readouterr().out


def test_own_folder_trains_two_methods_on_the_images_that_it_draws(tmp_path: Path):
    printed = _run(EXAMPLES / "own_folder.py", str(tmp_path), folder=tmp_path)
    assert "cross_entropy+logistic_regression: balanced accuracy on val" in printed
    assert "000.png" in printed


def test_a_method_of_ones_own_is_one_file_and_one_yaml_in_any_folder(tmp_path: Path):
    printed = _run(EXAMPLES / "add_a_method.py", folder=tmp_path)
    assert "cross_entropy+nearest_median: balanced accuracy on val" in printed
    files = {file.name for file in (tmp_path / "my_methods").iterdir()}
    assert files == {"nearest_median.py", "nearest_median.yaml"}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_search_from_python_prints_its_leaderboard(tmp_path: Path):
    printed = _run(EXAMPLES / "search_synthetic.py", str(tmp_path / "results"), folder=tmp_path)
    for method in ("cross_entropy", "crt", "logit_adjustment"):
        assert f"| {method} " in printed


def test_real_data_searches_what_is_here_and_says_what_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    script = runpy.run_path(str(EXAMPLES / "real_data.py"))
    commands: list[tuple[str, ...]] = []

    def recorded(*words: str) -> int:
        commands.append(words)
        return 0

    (tmp_path / "pbc_acevedo").mkdir()
    monkeypatch.setitem(script["main"].__globals__, "lmd_bench", recorded)
    monkeypatch.setattr(sys, "argv", ["real_data.py"])
    monkeypatch.setenv("LMD_BENCH_DATA", str(tmp_path))
    assert script["main"]() == 0
    assert [words[0] for words in commands] == ["search", "leaderboard"]
    assert str(tmp_path / "pbc_acevedo") in commands[0]
    said = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in said] == ["ham10000", "chula_rbc12"]
    assert all("lmd-bench datasets" in line for line in said)
