"""The command line as a person meets it: help is quick, mistakes are one sentence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lmd_bench.cli import app
from lmd_bench.core.errors import UserError
from lmd_bench.methods.catalogue import groups, named_methods, resolve_methods


def test_help_imports_neither_torch_nor_ray():
    script = (
        "import sys\nfrom typer.testing import CliRunner\n"
        "from lmd_bench.cli import app\n"
        "result = CliRunner().invoke(app, ['--help'])\n"
        "assert 'search' in result.output, result.output\n"
        "heavy = {'torch', 'ray', 'pandas', 'optuna'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("train --dataset moon --method lmd", "Unknown dataset 'moon'; choose from"),
        ("train --dataset synthetic --method lmdd", "Did you mean 'lmd'"),
        ("train --dataset synthetic --method lmd --set rrl.x=1", "Unknown setting 'rrl.x'"),
        ("train --dataset synthetic --method lmd --imbalance-factor few", "Imbalance factor 'few'"),
        ("train --dataset isic --method lmd", "ISIC_2019_Training_Input"),
        ("leaderboard --results nowhere", "There are no results"),
        ("search --dataset isic", "ISIC_2019_Training_Input"),
        ("search --dataset synthetic --method coer", "Did you mean 'core'"),
    ],
)
def test_a_mistake_names_what_came_and_what_is_allowed(
    arguments: str, sentence: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("LMD_BENCH_DATA", raising=False)
    with pytest.raises(UserError) as error:
        app(arguments.split(), standalone_mode=False)
    assert sentence in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_a_mistake_is_one_sentence_on_stderr_and_exit_code_2(tmp_path: Path):
    result = subprocess.run(
        [sys.executable, "-m", "lmd_bench", "leaderboard", "--results", str(tmp_path / "none")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("Error: There are no results in ")
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_search_without_images_says_so_first_and_only(tmp_path: Path):
    script = (
        "import sys\nfrom lmd_bench.cli import main\n"
        "sys.argv = ['lmd-bench', 'search', '--dataset', 'isic']\n"
        "try:\n    main()\nfinally:\n    assert not {'ray', 'torch'} & set(sys.modules)\n"
    )
    environment = {name: text for name, text in os.environ.items() if name != "LMD_BENCH_DATA"}
    result = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=environment,
    )
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    assert "challenge.isic-archive.com" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_search_of_no_named_method_takes_the_core(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    command = f"search --dataset synthetic --dry-run --image-size 16 --results {tmp_path / 'none'}"
    app(command.split(), standalone_mode=False)
    text = capsys.readouterr().out
    assert all(name in text for name in groups()["core"])


def test_groups_and_methods_can_be_mixed_and_no_group_has_the_name_of_a_method():
    names = [method.name for method in resolve_methods(["core", "vfc", "crt"])]
    assert names == [*groups()["core"], "vfc"]
    assert [m.name for m in resolve_methods(["all"])] == list(named_methods())
    assert not {*groups(), "all"} & set(named_methods())
