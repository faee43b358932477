"""`lmd-bench ablate` as a person meets it: mistakes are one sentence, and tables need no torch."""

import subprocess
import sys

import pytest
from typer import BadParameter

from lmd_bench.cli import app
from lmd_bench.core.errors import UserError


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("ablate", "An ablation takes a file and --dataset"),
        ("ablate lmd", "An ablation takes a file and --dataset"),
        ("ablate lmx --dataset synthetic", "Unknown ablation 'lmx'; choose from lmd, lmd_switches"),
        ("ablate lmd --dataset moon", "Unknown dataset 'moon'"),
        ("ablate lmd --dataset synthetic --set icc.fdc_weight=1", "leave out one"),
        ("ablate --table --results nowhere", "There is no ablation in"),
    ],
)
def test_a_mistake_is_one_sentence(arguments, sentence):
    with pytest.raises(UserError) as error:
        app(arguments.split(), standalone_mode=False)
    assert sentence in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("choice", ["--mode two", "--format pdf"])
def test_a_choice_that_does_not_exist_is_refused(choice):
    with pytest.raises(BadParameter, match="is not one of"):
        app(f"ablate lmd --dataset synthetic {choice}".split(), standalone_mode=False)


def test_tables_are_drawn_without_torch_and_ray():
    script = (
        "import sys\nimport lmd_bench.experiments.ablation.analysis\n"
        "heavy = {'torch', 'ray'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
