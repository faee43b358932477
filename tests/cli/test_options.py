import re

import pytest
import typer
from typer.testing import CliRunner

from lmd_bench.cli.option_groups import expanded
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import TableColumns
from lmd_bench.data.datasets import load
from lmd_bench.data.options import DataOptions, TaskOptions

app = typer.Typer()


@app.command()
@expanded
def show(name: str, data: DataOptions, cut: TaskOptions, last: int = 1) -> None:
    print(name, data.data_root, data.rare_classes, cut.n_max, cut.image_size, last)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.output.strip()


def test_each_field_becomes_an_option_with_its_default():
    assert run("here") == "here None refuse None 64 1"


def test_values_reach_the_dataclass_they_belong_to():
    given = ["--n-max", "5", "--data-root", "d", "--rare-classes", "merge", "--last", "2"]
    assert run("x", *given) == "x d merge 5 64 2"


def test_help_lists_the_fields_and_not_the_dataclass():
    options = re.findall(r"--[a-z-]+", CliRunner().invoke(app, ["--help"]).output)
    assert {"--images-csv", "--split-seed", "--last"} <= set(options)
    assert not {"--data", "--cut"} & set(options)


def test_a_csv_is_described_by_three_options_together():
    columns = DataOptions(label_column="y").source().columns
    with pytest.raises(UserError, match="--images-csv, --image-column and --label-column"):
        load("folder", columns)


def test_a_described_csv_reaches_the_data_source(tmp_path):
    options = DataOptions(
        images_csv=tmp_path, image_column="i", label_column="y", group_column="patient"
    )
    assert options.source().columns == TableColumns(tmp_path, "i", "y", "patient", None)
