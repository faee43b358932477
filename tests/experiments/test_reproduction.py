"""Running a row again: bit-equal, within the spread of its seeds, or different."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from lmd_bench.cli import app
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import (
    PIPELINE_VERSION,
    DataSource,
    TrialContext,
    canonical_json,
    no_report,
)
from lmd_bench.experiments.reproduce import reproduce, spec_of, within_spread
from lmd_bench.store.packs import copy_hidden
from lmd_bench.store.reproductions import fitting_records
from lmd_bench.store.rows import Row
from lmd_bench.store.store import Store, open_store
from lmd_bench.training import trial
from tests.leaderboard.conftest import _row as made
from tests.training.test_trial import make_spec


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Row, list[Any]]:
    """Return a real row of the built-in data, and its logits."""
    root = tmp_path_factory.mktemp("original")
    spec = make_spec(phase="confirm")
    context = TrialContext(root, device="cpu", source_key="s", command="lmd-bench search")
    row = trial.execute_trial(spec, context, no_report)
    splits = open_store(root).read_logits(row["key"])
    logits = [
        (image, split, int(label), values.tolist())
        for split, (ids, labels, matrix) in splits.items()
        for image, label, values in zip(ids, labels, matrix, strict=True)
    ]
    return row, logits


def put(tmp_path: Path, original: tuple[Row, list[Any]], **changed: Any) -> tuple[Store, Row]:
    row = {**original[0], **changed}
    store = open_store(tmp_path, create=True)
    store.write(row, original[1])
    return store, row


def test_the_trial_of_a_row_is_rebuilt_to_its_key(original) -> None:
    assert spec_of(original[0]) == make_spec(phase="confirm")
    assert spec_of(original[0]).key == original[0]["key"]


def test_an_untouched_row_is_bit_equal_and_its_folder_is_only_read(
    original, tmp_path: Path, capsys
) -> None:
    store, row = put(tmp_path, original)
    before = sorted(tmp_path.rglob("*"))

    app(["reproduce", row["key"][:10], "--results", str(tmp_path)], standalone_mode=False)

    printed = capsys.readouterr().out
    assert "): bit-equal" in printed
    assert "all metrics and logits are" in printed
    assert "otherwise" not in printed
    assert sorted(tmp_path.rglob("*")) == before
    assert store.rows() == [row]


def test_a_tampered_score_is_different(original, tmp_path: Path, capsys) -> None:
    _, row = put(tmp_path, original, test_balanced_accuracy=0.999)

    command = ["reproduce", row["key"], "--results", str(tmp_path)]
    assert app(command, standalone_mode=False) == 1

    printed = capsys.readouterr().out
    assert "): different" in printed
    assert "came out otherwise: test_balanced_accuracy: 0.999 there" in printed
    assert "SD over 1 seeds not known" in printed


def test_a_tampered_config_is_different_and_not_run(original, tmp_path: Path) -> None:
    config = json.loads(original[0]["config_json"])
    altered = canonical_json(config | {"training.lr": 2 * config["training.lr"]})
    store, row = put(tmp_path, original, config_json=altered)

    found = reproduce(store, row, DataSource())

    assert found.verdict == "different"
    assert found.outcome[0].startswith("key: the row's data give")
    assert "was not run" in found.outcome[0]


@pytest.mark.parametrize(
    ("commit", "origin"), [("ab" * 20, f"commit {'ab' * 20}"), (None, "lmd-bench 0.0.1")]
)
def test_a_row_of_an_older_pipeline_is_refused_with_what_makes_it_again(
    commit, origin, tmp_path: Path
) -> None:
    spec = make_spec()
    row = {**made("cross_entropy"), **asdict(spec.task), "git_commit": commit}
    row |= {"package_version": "0.0.1"}
    row["key"] = spec_of(row).key_under(PIPELINE_VERSION - 1)

    sentence = f"made by version {PIPELINE_VERSION - 1} of the training pipeline.*; {origin} makes"
    with pytest.raises(UserError, match=sentence):
        reproduce(open_store(tmp_path, create=True), row, DataSource())


def test_other_data_than_the_rows_are_refused(tmp_path: Path) -> None:
    row = {**made("cross_entropy"), "dataset": "synthetic", "image_size": 16, "n_max": 100}
    row |= {"imbalance_factor": 20.0}
    row["key"] = spec_of(row).key
    store = open_store(tmp_path, create=True)
    store.write(row)

    with pytest.raises(UserError, match="give task .*, but the trials are of task 0123456789-100"):
        reproduce(store, row, DataSource())


def test_images_that_are_prepared_for_a_row_are_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMD_BENCH_CACHE", str(tmp_path / "cache"))
    row = {**made("cross_entropy"), "dataset": "synthetic", "image_size": 8, "n_max": 100}
    row |= {"imbalance_factor": 20.0}
    row["key"] = spec_of(row).key
    told: list[tuple[str, int, int]] = []

    with pytest.raises(UserError, match="the trials are of task"):
        reproduce(
            open_store(tmp_path / "results", create=True),
            row,
            DataSource(),
            on_images=lambda *point: told.append(point),
        )
    assert told
    assert {name for name, _, _ in told} == {"synthetic"}
    assert told[-1][1] == told[-1][2]


def test_a_lost_trial_cannot_be_repeated(tmp_path: Path) -> None:
    store = open_store(tmp_path, create=True)
    with pytest.raises(UserError, match="has no outcome to repeat"):
        reproduce(store, made("crt", status="lost", cause="died"), DataSource())


def test_within_spread_is_one_standard_deviation_of_every_score(original) -> None:
    row = {**original[0], "val_macro_f1": None, "test_macro_f1": None}
    row |= {"val_balanced_accuracy": 0.5, "test_balanced_accuracy": 0.4}
    seeds = [  # SD 0.1 on val, 0.2 on test
        {**row, "val_balanced_accuracy": 0.5 + d, "test_balanced_accuracy": 0.4 + 2 * d}
        for d in (-0.1, 0.0, 0.1)
    ]
    near = {**row, "val_balanced_accuracy": 0.59, "test_balanced_accuracy": 0.21}
    far = {**row, "val_balanced_accuracy": 0.61}
    assert within_spread(row, near, seeds)[0]
    assert not within_spread(row, far, seeds)[0]
    assert (
        "val_balanced_accuracy moved by 0.0900, SD over 3 seeds 0.1000"
        in within_spread(row, near, seeds)[1]
    )
    assert not within_spread(row, near, seeds[:1])[0]
    assert within_spread(row, {**near, "status": "diverged"}, seeds) == (False, [])


def test_a_row_that_was_given_away_is_reproduced_and_its_record_speaks_of_both(
    original, tmp_path: Path, capsys
) -> None:
    store, row = put(tmp_path / "mine", original)
    copy_hidden([tmp_path / "mine"], tmp_path / "given")

    command = ["reproduce", row["key"], "--results", str(tmp_path / "given"), "--record"]
    app(command, standalone_mode=False)

    assert "): bit-equal" in capsys.readouterr().out
    (record,) = fitting_records(tmp_path / "given", open_store(tmp_path / "given"))
    assert record.passed
    # of the row where it was made, too, under the ids it has there
    assert record.fits(row, store.read_logits(row["key"]))
    assert record.again_row_sha256 == record.row_sha256
    assert not record.fits({**row, "test_balanced_accuracy": 0.999}, {})
