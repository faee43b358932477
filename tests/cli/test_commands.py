"""The command line as a person meets it: help is quick, mistakes are one sentence."""

import subprocess
import sys
from pathlib import Path

import pytest

from lmd_bench.cli import app
from lmd_bench.core.errors import UserError


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
        ("search --dataset synthetic --method lmd --protocol best", "Unknown protocol 'best'"),
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
