"""`lmd-bench sweep` and `transfer`: what is run, and a tiny real one from end to end."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer import BadParameter

from lmd_bench.cli import app
from lmd_bench.core import plugins
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource, TaskSpec, TrialContext, TrialSpec
from lmd_bench.experiments.transfer import (
    Chosen,
    is_task,
    missing_cells,
    read_transfer,
    run_transfers,
    transfer_specs,
)
from lmd_bench.leaderboard import load
from lmd_bench.leaderboard.studies.rules import VAL_BALANCED_ACCURACY as RULE
from lmd_bench.leaderboard.transfer import matrices
from lmd_bench.search.display import make_display
from lmd_bench.store.lineage import describe, lineage
from lmd_bench.store.rows import make_row, spec_of
from lmd_bench.store.store import open_store

FACTS = {
    "status": "ok",
    "seconds": 1.0,
    "standalone_seconds": 1.0,
    "started_at": "2025-01-01T00:00:00+00:00",
    "finished_at": "2025-01-01T00:00:01+00:00",
    "class_names": ["a", "b"],
    "class_counts": [10, 1],
    "groups": ["many", "few"],
}


def _rows(factor: float, best: int, version: int | None = None) -> list[dict]:
    """Return a study of crt on a task: trials 0 to 2, of which `best` is selected and confirmed."""
    stages = (("representation", "cross_entropy"), ("calibration", "crt"))
    versions = {name: version or plugins.load(kind, name).VERSION for kind, name in stages}
    rows = []
    for number in range(3):
        spec = TrialSpec(
            task=TaskSpec(dataset="toy", imbalance_factor=factor),
            task_fingerprint=f"{int(factor):020}"[::-1],
            method="crt",
            representation="cross_entropy",
            calibration="crt",
            config={"training.lr": 0.1 + number},
            seed=0,
            n_epochs=2,
            study=f"toy-{factor}/crt/2ep",
            versions=versions,
        )
        place = TrialContext(Path("unused"), trial_number=number)
        rows.append(make_row(spec, place, val_balanced_accuracy=float(number == best), **FACTS))
        if number == best:
            for seed in (7, 8):
                run = replace(spec, phase="confirm", seed=seed)
                place = TrialContext(Path("u"), trial_number=number, source_key=spec.key)
                rows.append(make_row(run, place, test_balanced_accuracy=0.5, **FACTS))
    return rows


def test_every_ordered_pair_is_filled_on_the_seeds_of_where_it_is_used() -> None:
    rows = [*_rows(10.0, 1), *_rows(100.0, 2)]
    (found, _) = matrices(rows, RULE)
    specs = transfer_specs(missing_cells(found, Chosen()))

    made = {(s.task.imbalance_factor, s.config["training.lr"], s.seed) for s, _ in specs.values()}
    assert made == {(100.0, 1.1, 7), (100.0, 1.1, 8), (10.0, 2.1, 7), (10.0, 2.1, 8)}
    assert {spec.phase for spec, _ in specs.values()} == {"transfer"}
    assert all(key == spec.key for key, (spec, _) in specs.items())
    assert not {spec.study for spec, _ in specs.values()} & {row["study"] for row in rows}


def test_a_config_selected_on_two_tasks_is_used_on_a_third_once() -> None:
    rows = [*_rows(10.0, 1), *_rows(20.0, 1), *_rows(100.0, 2)]
    (found, _) = matrices(rows, RULE)
    specs = transfer_specs(missing_cells(found, Chosen(used_at=("if100",))))

    assert len(specs) == 2  # one config on two seeds
    # and between the two tasks that selected the same, it is confirmed already
    assert not missing_cells(found, Chosen(tuned_at=("if10",), used_at=("if20",)))


def test_a_config_of_another_version_of_a_plug_in_is_refused() -> None:
    (found, _) = matrices([*_rows(10.0, 1, 99), *_rows(100.0, 2, 99)], RULE)
    with pytest.raises(UserError, match="tuned with version 99 of cross_entropy"):
        transfer_specs(missing_cells(found, Chosen()))


def test_a_task_is_named_by_data_set_factor_or_fingerprint() -> None:
    row = _rows(100.0, 1)[0]

    assert is_task(row, "toy")
    assert is_task(row, "if100")
    assert is_task(row, row["task_fingerprint"][:8])
    assert not is_task(row, "if10")
    assert not is_task(row, "0")


def test_unknown_names_and_a_rule_that_sees_test_are_refused(tmp_path: Path) -> None:
    store = open_store(tmp_path, create=True)
    for row in [*_rows(10.0, 1), *_rows(100.0, 2)]:
        store.write(row)
    for arguments, sentence in (
        ("--method lmd", "choose from crt"),
        ("--from moon", "No task of .* is 'moon'"),
        ("--rule oracle_test", "chooses on test"),
    ):
        with pytest.raises(UserError, match=sentence):
            app(
                ["transfer", *arguments.split(), "--results", str(tmp_path), "--dry-run"],
                standalone_mode=False,
            )
    with pytest.raises(BadParameter, match="'xml' is not one of"):
        app(["transfer", "--format", "xml", "--results", str(tmp_path)], standalone_mode=False)
    with pytest.raises(UserError, match="nothing to transfer"):
        app(
            ["transfer", "--study", "no", "--table", "--results", str(tmp_path)],
            standalone_mode=False,
        )


def test_images_that_are_prepared_for_transfers_are_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMD_BENCH_CACHE", str(tmp_path / "cache"))
    row = _rows(20.0, 1)[0]
    task = TaskSpec("synthetic", imbalance_factor=20.0, image_size=8, n_max=100)
    spec = replace(spec_of(row), task=task)
    told: list[str] = []

    with pytest.raises(UserError, match="the trials are of task"):
        run_transfers(
            {spec.key: (spec, row)},
            tmp_path,
            DataSource(),
            {},
            "command",
            make_display(verbose=False),
            lambda name, *_: told.append(name),
        )
    assert set(told) == {"synthetic"}


def test_a_dry_run_says_how_much_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    store = open_store(tmp_path, create=True)
    for row in [*_rows(10.0, 1), *_rows(100.0, 2)]:
        store.write(row)
    app(["transfer", "--dry-run", "--results", str(tmp_path)], standalone_mode=False)

    assert capsys.readouterr().out == "4 runs are missing, with at most 4 encoders to train.\n"


def test_configs_of_two_folders_are_transferred_into_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder, rows in ((here, _rows(10.0, 1)), (there, _rows(100.0, 2))):
        store = open_store(folder, create=True)
        for row in rows:
            store.write(row)
    with pytest.raises(UserError, match="not tuned on two tasks"):
        read_transfer(here, Chosen(methods=("crt",)), RULE.name)

    places = ["--results", str(here), "--also", str(there)]
    app(["transfer", "--dry-run", *places], standalone_mode=False)
    assert "4 runs are missing, with at most 4 encoders" in capsys.readouterr().out
    app(["transfer", "--table", "--format", "csv", *places], standalone_mode=False)
    assert f"--results {here} --also {there}" in capsys.readouterr().out


def test_tasks_that_are_on_neither_side_are_left_out_of_the_tables(tmp_path: Path) -> None:
    store = open_store(tmp_path, create=True)
    for row in [*_rows(10.0, 1), *_rows(50.0, 2), *_rows(100.0, 2)]:
        store.write(row)

    def factors(chosen: Chosen) -> list[float]:
        _, (matrix,), _, _ = read_transfer(tmp_path, chosen, RULE.name)
        tuned = {one.task for one in matrix.tuned}
        assert set(matrix.cells) == {(a, b) for a in tuned for b in tuned}
        return [one.selected["imbalance_factor"] for one in matrix.tuned]

    assert factors(Chosen(tuned_at=("if10",))) == [10.0, 50.0, 100.0]
    assert factors(Chosen(tuned_at=("if10",), used_at=("if100",))) == [10.0, 100.0]


def test_what_was_tuned_for_others_alone_is_left_out_and_named(tmp_path: Path) -> None:
    store = open_store(tmp_path, create=True)
    for factor in (10.0, 100.0):
        for row in _rows(factor, 1):
            store.write(row)
            if row["phase"] == "search":
                helper = {
                    "study": row["study"].replace("crt", "ce"),
                    "method": "cross_entropy+none",
                    "calibration": "none",
                }
                store.write({**row, **helper, "key": f"{row['key'][:-1]}x"})
    _, tables, notes, _ = read_transfer(tmp_path, Chosen(), RULE.name)
    assert [matrix.method for matrix in tables] == ["crt"]
    assert notes == [
        "Left out: cross_entropy+none, which is confirmed on none of its tasks; "
        "--method cross_entropy+none takes it."
    ]
    _, tables, _, _ = read_transfer(tmp_path, Chosen(methods=("cross_entropy+none",)), RULE.name)
    assert [matrix.method for matrix in tables] == ["cross_entropy+none"]


@pytest.mark.slow
def test_a_sweep_and_its_transfers_from_end_to_end(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    def run(line: str) -> str:
        app([*line.split(), "--results", str(tmp_path)], standalone_mode=False)
        return capsys.readouterr().out

    asked = "--dataset synthetic --image-size 16 --imbalance-factor 20,100 --method cross_entropy"
    budget = "--trials 2 --epochs 1 --confirm-seeds 2 --max-concurrent 2 --seed 3"
    text = run(f"sweep {asked} {budget}")
    assert "the same 370 val and 454 test images" in text
    assert "Robust range" in text
    store = open_store(tmp_path)
    before = load(tmp_path).frame
    n_rows = len(store.rows())

    run(f"search {asked} {budget}")  # the same studies: nothing is left to run
    assert len(store.rows()) == n_rows

    data = json.loads(run("transfer --max-concurrent 2 --format json"))
    moved = [row for row in store.rows() if row["phase"] == "transfer"]
    assert {line["n_missing"] for line in data["rows"]} == {0}
    assert len(data["rows"]) == 4
    assert all(row["test_balanced_accuracy"] is not None for row in moved)
    assert load(tmp_path).frame.equals(before)
    if moved:  # none, where the same config was selected twice
        names = dict(describe(lineage(store, moved[0])))
        assert names["study"].endswith("its config was not tuned on this task")
    run("transfer --max-concurrent 2")  # costs nothing
    assert len(store.rows()) == n_rows + len(moved)
