"""A plug-in of one's own from the command line: written, checked, refused."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from lmd_bench import UserError
from lmd_bench.cli import app
from lmd_bench.contract.check import checks
from lmd_bench.core import outside, plugins

KINDS = ("calibration", "representation", "dataset", "encoder", "metric")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(*words: str):
    return CliRunner().invoke(app, list(words), catch_exceptions=False)


@pytest.mark.parametrize("kind", KINDS)
def test_new_writes_a_plugin_of_its_kind_and_nothing_else(kind: str):
    assert run("new", kind, "mine").exit_code == 0
    files = {"mine.py", "test_mine.py"} | ({"mine.yaml"} if kind in KINDS[:2] else set())
    assert {file.name for file in Path().iterdir()} == files
    (plugin,) = outside.add(["mine.py"])
    assert plugin.kind.removesuffix("s") == kind
    assert plugins.plugin_class(plugin.kind, "mine").__name__ == "Mine"
    assert "template" not in Path("mine.py").read_text().lower()


def test_new_writes_over_nothing():
    Path("mine.yaml").write_text("kept")
    with pytest.raises(UserError, match="mine.yaml is there already"):
        run("new", "calibration", "mine")
    assert {file.name: file.read_text() for file in Path().iterdir()} == {"mine.yaml": "kept"}


@pytest.mark.parametrize("name", ["crt", "focal", "folder"])
def test_new_takes_no_name_that_is_taken(name: str):
    with pytest.raises(UserError, match=f"'{name}'; take another name"):
        run("new", "calibration", name)


@pytest.mark.parametrize("name", ["my-cal", "My", "_my", "test_my", "3d"])
def test_new_takes_no_name_that_cannot_be_one(name: str):
    with pytest.raises(UserError, match="cannot be called"):
        run("new", "calibration", name)
    assert not list(Path().iterdir())


@pytest.mark.usefixtures("narrow_resnets")
@pytest.mark.parametrize("kind", ["representation", "encoder"])
def test_what_new_writes_holds_its_contract(kind: str):
    run("new", kind, "mine")
    assert run("check-plugin", "mine.py").exit_code == 0


def test_check_plugin_prints_a_line_a_check_and_fails_where_one_does_not_hold():
    run("new", "calibration", "mine")
    well = run("check-plugin", "mine.py")
    assert well.exit_code == 0
    assert len(well.output.splitlines()) == len(checks("calibration", "mine"))
    assert all(line.startswith("mine: yes ") for line in well.output.splitlines())
    source = Path("mine.py").read_text()
    Path("yours.py").write_text(source.replace("= 0.1", "= 2.0").replace("Paper: ", ""))
    Path("yours.yaml").write_text(Path("mine.yaml").read_text())
    ill = run("check-plugin", "yours.py")
    assert ill.exit_code == 1
    assert "yours: no  Its card" in ill.output
    assert "the default yours.shrinkage=2.0 lies outside of its range" in ill.output


def test_check_plugin_reads_a_data_set_where_its_files_lie():
    from PIL import Image

    run("new", "dataset", "mine")
    Path("data/images").mkdir(parents=True)
    rows = ["image_id,patient,label"]
    for number in range(4):
        Image.new("RGB", (20, 20), (50 * number + 40, 9, 9)).save(f"data/images/i{number}.png")
        rows.append(f"i{number},p{number // 2},{('benign', 'malignant')[number % 2]}")
    Path("data/images.csv").write_text("\n".join(rows))
    result = run("check-plugin", "mine.py", "--data-root", "data")
    assert result.exit_code == 0, result.output
    assert run("prepare", "--plugin", "mine.py", *DATA).exit_code == 0


DATA = ("--dataset", "mine", "--data-root", "data", "--image-size", "16")


def test_the_lists_name_a_plugin_and_its_file():
    run("new", "calibration", "mine")
    listed = run("methods", "--plugin", ".").output
    assert "calibration mine is from outside" in listed
    assert "mine.py" in listed
    assert "shrinkage" in run("methods", "cross_entropy+mine").output
    assert " mine\n" in run("methods", "--matrix").output


def test_without_its_file_a_plugin_is_unknown():
    run("new", "calibration", "mine")
    with pytest.raises(UserError, match="Unknown calibration 'mine'"):
        run("methods", "cross_entropy+mine")
