"""The public Python API: what `import lmd_bench` offers, and what it costs."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pandas as pd
import pytest

import lmd_bench
from lmd_bench import UserError

QUICK = {"image_size": 16, "n_max": 40, "epochs": 1}
SMALL_BATCH = {"training.batch_size": 16}


def heavy_modules_after(script: str) -> str:
    script += (
        "\nimport sys\nprint(*sorted({'torch', 'ray', 'pandas', 'optuna'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return run.stdout.strip()


def test_the_import_brings_none_of_the_heavy_libraries():
    assert heavy_modules_after("import lmd_bench") == ""


def test_results_are_opened_without_torch_ray_or_optuna():
    loaded = heavy_modules_after("import lmd_bench\nlmd_bench.open_results")
    assert set(loaded.split()) <= {"pandas"}


@pytest.mark.parametrize("name", lmd_bench.__all__)
def test_each_public_name_can_be_had(name: str):
    assert getattr(lmd_bench, name) is not None


def test_no_public_name_is_that_of_a_room():
    rooms = {folder.name for folder in Path(lmd_bench.__file__).parent.iterdir() if folder.is_dir()}
    assert "search" in rooms
    assert not rooms & set(lmd_bench.__all__)


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'serch'"):
        _ = lmd_bench.serch


def test_the_listings_are_frames_of_one_row_each():
    methods, datasets = lmd_bench.list_methods(), lmd_bench.list_datasets()
    assert isinstance(methods, pd.DataFrame)
    assert methods.set_index("name").loc["crt", "calibration"] == "crt"
    assert datasets.set_index("name").loc["isic2019", "aliases"] == "isic"
    assert datasets["name"].is_unique


def test_a_trial_runs_and_leaves_its_row(tmp_path: Path):
    epochs: list[str] = []
    row = lmd_bench.train_trial(
        "synthetic",
        "crt",
        imbalance_factor=5,
        settings=SMALL_BATCH | {"crt.n_epochs": 1},
        results=str(tmp_path / "runs"),
        on_epoch=lambda point: epochs.append(point.stage),
        **QUICK,
    )
    assert row["status"] == "ok"
    assert (row["imbalance_factor"], row["n_max"], row["image_size"]) == (5.0, 40, 16)
    assert "representation" in epochs
    assert (tmp_path / "runs" / "store.json").exists()


def test_an_unknown_option_is_named_with_those_there_are(tmp_path: Path):
    with pytest.raises(UserError, match="Unknown option 'trails'.*Did you mean 'trials'"):
        lmd_bench.run_search("synthetic", results=tmp_path, trails=3)
    with pytest.raises(UserError, match="Unknown option 'image_sise'"):
        lmd_bench.train_trial("synthetic", "crt", image_sise=3)


def test_a_search_without_its_images_says_what_to_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("LMD_BENCH_DATA", raising=False)
    with pytest.raises(UserError, match="ISIC_2019_Training_Input.zip"):
        lmd_bench.run_search("isic", results=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_search_runs_from_python(tmp_path: Path):
    results = str(tmp_path / "runs")
    outcome = lmd_bench.run_search(
        "synthetic",
        ["cross_entropy", "tau_norm"],
        imbalance_factor=5,
        settings=SMALL_BATCH,
        results=results,
        trials=2,
        confirm_seeds=1,
        max_concurrent=1,
        **QUICK,
    )
    assert outcome.exit_code == 0
    board = lmd_bench.open_results(results).leaderboard()
    assert set(board.frame["method"]) == {"cross_entropy", "tau_norm"}


def test_the_lock_file_holds_every_dependency():
    root = Path(__file__).parents[1]
    if not (root / ".requirements.lock").exists():
        pytest.skip("the tests were installed without the project's lock file")
    project = tomllib.loads((root / "pyproject.toml").read_text())
    wanted = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    names = {re.split(r"[^\w.-]", requirement)[0].lower() for requirement in wanted}
    locked = {line.split("==")[0] for line in (root / ".requirements.lock").read_text().split()}
    assert names <= locked
