"""Tables from rows, their export and its way back; messages for folders with nothing to replay."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer import BadParameter

from lmd_bench.cli import app
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import TaskSpec, TrialContext, TrialSpec
from lmd_bench.experiments.simulation.export import read_tables, write_tables
from lmd_bench.experiments.simulation.simulate import Request, simulate, stored_tables
from lmd_bench.experiments.simulation.staging import find_pairs
from lmd_bench.store.rows import make_row
from lmd_bench.store.store import open_store

TASK = TaskSpec(dataset="ham10000", imbalance_factor=100.0, image_size=32)
TIMES = {"started_at": "2025-01-01T00:00:00+00:00", "finished_at": "2025-01-01T00:00:10+00:00"}


def row(study, number, value, config, *, rank=None, source="", encoder="", seed=0):
    """Return a search row, or with `source` a confirmation of it that scored `value` on test."""
    calibration = "none" if rank is None else "crt"
    spec = TrialSpec(
        task=TASK,
        task_fingerprint="f" * 20,
        method="cross_entropy" if rank is None else "crt",
        representation="cross_entropy",
        calibration=calibration,
        config=config,
        seed=seed,
        n_epochs=3,
        phase="confirm" if source else "search",
        study=study,
    )
    context = TrialContext(
        results=Path("unused"),
        trial_number=number,
        is_default=number == 0,
        encoder_rank=rank,
        source_key=source,
        command="lmd-bench search --data-root /home/somebody",
    )
    points = [
        {"stage": "representation", "epoch": n, "loss": 1.0, "val_balanced_accuracy": 0.1 * n}
        for n in (1, 2, 3)
    ]
    measured = {"status": "ok", "seconds": 60.0, "standalone_seconds": 600.0, "curve": points}
    measured |= {"test_balanced_accuracy" if source else "val_balanced_accuracy": value}
    return make_row(spec, context, encoder_key=encoder, **measured, **TIMES)


@pytest.fixture
def results(tmp_path):
    """Return a folder of six encoders, and six calibrations on three of them."""
    store = open_store(tmp_path / "results", create=True)
    for n in range(6):
        config = {"training.lr": 0.01 * (n + 1), "training.batch_size": [64, 128][n % 2]}
        first = row("ce", n, 0.3 + 0.05 * n, config, encoder=f"e{n}")
        store.write(first)
        on = 3 + n % 3
        lr = {"training.lr": 0.01 * (on + 1), "training.batch_size": [64, 128][on % 2]}
        config = {**lr, "crt.lr": 0.1 * (n + 1)}
        store.write(row("crt", n, 0.5 + 0.01 * n, config, rank=6 - on, encoder=f"e{on}"))
        if n == 5:
            for seed, test in enumerate((0.4, 0.5), start=1):
                config = json.loads(first["config_json"])
                store.write(row("ce", n, test, config, source=first["key"], seed=seed))
    return tmp_path / "results"


def test_a_table_holds_what_was_measured_and_what_was_searched(results):
    by_method = {table.method: table for table in stored_tables(results)[0]}
    ce, crt = by_method["cross_entropy"], by_method["crt"]
    assert list(ce.space) == ["training.batch_size", "training.lr"]
    assert list(crt.space) == ["crt.lr", "encoder_rank"]
    assert (ce.trials[5].test, ce.trials[5].n_confirmed) == (pytest.approx(0.45), 2)
    assert (ce.trials[4].test, ce.trials[4].n_confirmed) == (None, 0)
    assert ce.trials[2].curve == pytest.approx((0.1, 0.2, 0.3))
    assert ce.cost(ce.trials[0]) == 600.0  # with its own stage 1
    assert crt.cost(crt.trials[0]) == 60.0  # its encoder was there


def test_an_export_comes_back_equal_and_gives_the_same_numbers(results, tmp_path):
    tables, rows = stored_tables(results)
    write_tables(tables, rows, tmp_path / "table")
    assert read_tables(tmp_path / "table") == tables
    request = Request(("random", "tpe"), ("none", "halving"), repeats=3)
    stored, read = (
        simulate(folder, exported, request)
        for folder, exported in ((results, False), (tmp_path / "table", True))
    )
    assert stored.notes == read.notes
    for part, frame in stored.frames.items():
        pd.testing.assert_frame_equal(frame, read.frames[part])


def test_an_export_can_be_read_without_the_package_and_tells_nothing_of_a_site(results, tmp_path):
    write_tables(*stored_tables(results), tmp_path / "table")
    configs = pd.read_parquet(tmp_path / "table" / "configs.parquet")
    curves = pd.read_parquet(tmp_path / "table" / "curves.parquet")
    space = json.loads((tmp_path / "table" / "space.json").read_text())
    assert list(space["files"]["configs.parquet"]) == list(configs.columns)
    assert list(space["files"]["curves.parquet"]) == list(curves.columns)
    assert (len(configs), len(curves)) == (12, 36)
    assert space["licence"]["ham10000"] == "CC BY-NC 4.0"
    (ce,) = [study for study in space["studies"] if study["study"] == "ce"]
    assert ce["space"]["training.lr"] == {"type": "float", "low": 0.001, "high": 0.3, "log": True}
    for file in (tmp_path / "table").iterdir():
        assert b"somebody" not in file.read_bytes()


def test_staged_search_says_which_calibrations_are_missing(results):
    tables, _ = stored_tables(results)
    ((pair,), lacking) = find_pairs(tables)
    assert pair.missing == [0, 1, 2]
    assert not lacking
    alone = [table for table in tables if table.method == "crt"]
    assert (
        "cross_entropy study that trained its encoders are not here" in find_pairs(alone)[1][0][0]
    )


def test_staged_search_pays_for_both_studies_and_joint_for_each_stage_1(results):
    request = Request(("random",), ("none",), repeats=4, parts=("stages",), n_trials=6, top_k=3)
    line = simulate(results, False, request).frames["stages"].iloc[0]
    # six encoders of 600 s, and six calibrations of 60 s on the best three: all are stored
    assert line["staged_hours"] == pytest.approx((6 * 600 + 6 * 60) / 3600)
    assert line["staged_best"] == pytest.approx(0.55)
    # 3960 s: the seventh would start at 3600, but there are six
    assert line["joint_hours"] == pytest.approx(3600 / 3600)
    assert line["joint_exhausted"] == 4
    assert line["repeats_lacking_pairs"] == 4  # the default's encoder is offered, and has none


def test_a_repeat_whose_encoders_have_no_calibration_is_not_replayed(results):
    # one trial is the default, whose encoder no stored calibration stands on
    request = Request(("random",), ("none",), repeats=2, parts=("stages",), n_trials=1)
    line = simulate(results, False, request).frames["stages"].iloc[0]
    assert (line["replayed"], line["repeats_lacking_pairs"]) == (0, 2)
    assert line["missing"] == "#0, #1, #2"


def test_a_folder_without_search_rows_is_said_to_have_none(tmp_path):
    open_store(tmp_path, create=True)
    with pytest.raises(UserError, match="no trials of a search in .* to replay"):
        stored_tables(tmp_path)


def test_too_few_trials_are_said_to_be_too_few(tmp_path):
    store = open_store(tmp_path, create=True)
    store.write(row("ce", 0, 0.3, {"training.lr": 0.1}))
    with pytest.raises(UserError, match="cross_entropy: 1 successful trial of 3"):
        simulate(tmp_path, False, Request(("random",), ("none",)))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--sampler tpee", "Unknown sampler 'tpee'"),
        ("--pruner medain", "Unknown pruner 'medain'"),
        ("--trials 3 --hours 1", "give one of them"),
        ("--repeats 0", "--repeats 0 is not possible"),
        ("--method lmd", "no study of 'lmd' here; choose from cross_entropy, crt"),
        ("--format csv", "name it with --show"),
        ("--show samplers --sampler random,tpe", "are one and the same here"),
        ("--table {results}", "no exported table"),
        ("--export {results}", "exists already"),
    ],
)
def test_a_mistake_is_one_sentence(results, arguments, sentence):
    command = f"simulate --results {results} {arguments.format(results=results)}"
    with pytest.raises(UserError, match=sentence) as error:
        app(command.split(), standalone_mode=False)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("arguments", ["--show all", "--format xml"])
def test_a_choice_that_does_not_exist_is_refused(results, arguments):
    with pytest.raises(BadParameter, match="is not one of"):
        app(f"simulate --results {results} {arguments}".split(), standalone_mode=False)


def test_a_damaged_export_is_refused(results, tmp_path):
    write_tables(*stored_tables(results), tmp_path / "table")
    file = tmp_path / "table" / "curves.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"curves\.parquet is damaged"):
        read_tables(tmp_path / "table")
    (tmp_path / "table" / "space.json").write_text('{"format": "lmd-bench table", "version": 9}')
    with pytest.raises(UserError, match="version 9"):
        read_tables(tmp_path / "table")


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_each_format_shows_the_replays(results, form, capsys):
    command = f"simulate --results {results} --repeats 2 --format {form} --show samplers"
    app(command.split(), standalone_mode=False)
    out = capsys.readouterr().out
    assert "hyperband" in out
    if form == "json":
        data = json.loads(out)
        assert {line["method"] for line in data["samplers"]} == {"cross_entropy", "crt"}
        assert any("at random" in note for note in data["notes"])


def test_a_simulation_does_not_import_ray(results):
    script = (
        "import sys\nfrom lmd_bench.cli import app\n"
        f"command = 'simulate --results {results} --repeats 1 --sampler random,tpe'\n"
        "app(command.split(), standalone_mode=False)\n"
        "assert 'ray' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
