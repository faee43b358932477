"""Every metric of the selected methods: from rows or logits, counted where undefined, shown."""

import csv
import io
import json
from dataclasses import replace
from math import isnan
from pathlib import Path

import pandas as pd
import pytest
from sklearn.metrics import matthews_corrcoef

from lmd_bench.cli.emit import emit_leaderboard, write_leaderboard
from lmd_bench.core.errors import UserError
from lmd_bench.experiments.results import open_results
from lmd_bench.leaderboard.board import Leaderboard, load
from lmd_bench.leaderboard.studies.rules import RULES
from lmd_bench.leaderboard.studies.scores import (
    metric_spreads,
    parse_metrics,
)
from lmd_bench.leaderboard.tables.render import FORMATS, render
from lmd_bench.stats.metrics import METRICS
from lmd_bench.store.from_logits import scores_on_test
from lmd_bench.store.metrics import known_metrics
from lmd_bench.store.store import open_store


def test_all_are_every_metric_that_there_is() -> None:
    assert parse_metrics("all") == tuple(known_metrics())
    assert {*METRICS, "ece_by_chance", "classwise_ece_by_chance"} < {*known_metrics()}
    assert {"scaled_nll", "scaled_brier", "scaled_ece"} < {*known_metrics()}
    assert parse_metrics("mcc, nll,mcc") == ("mcc", "nll")
    assert parse_metrics("ece,mcc") == ("ece", "ece_by_chance", "mcc")


@pytest.mark.parametrize("text", ["", "auc", "all,mcc", "mcc;nll"])
def test_an_unknown_metric_is_an_error_that_lists_the_choices(text: str) -> None:
    with pytest.raises(UserError, match="Unknown metric '.*'; choose from accuracy, all, "):
        parse_metrics(text)


def test_a_row_is_asked_first_and_its_logits_for_what_it_lacks(filled: Path) -> None:
    store = open_store(filled)
    row = next(r for r in store.rows() if r["method"] == "lmd" and r["phase"] == "confirm")

    found = scores_on_test(row, ("balanced_accuracy", "mcc", "medium_recall"), store)

    _, labels, logits = store.read_logits(row["key"])["test"]
    assert found["balanced_accuracy"] == row["test_balanced_accuracy"]
    assert found["mcc"] == pytest.approx(matthews_corrcoef(labels, logits.argmax(axis=1)))
    assert scores_on_test(row | {"test_mcc": 0.25}, ("mcc",), store) == {"mcc": 0.25}
    assert isnan(scores_on_test(row, ("mcc",), None)["mcc"])


def test_what_is_undefined_is_counted_and_never_a_number(row) -> None:
    source = row("crt")
    runs = [row("crt", seed=s, source=source, test_mcc=v) for s, v in ((1, 0.4), (2, float("nan")))]

    found = metric_spreads(runs, ("mcc", "kappa"), None)

    assert isnan(found["mcc"].spread.mean)
    assert (found["mcc"].spread.n, found["mcc"].n_undefined) == (2, 1)
    assert found["kappa"].n_undefined == 2  # never stored
    assert metric_spreads(runs[:1], ("mcc",), None)["mcc"].spread.mean == 0.4


@pytest.fixture
def board(filled: Path) -> Leaderboard:
    return load(filled, metrics=tuple(known_metrics()))


def test_the_frame_has_mean_spread_and_undefined_seeds_of_each_metric(board: Leaderboard) -> None:
    lines = board.frame.set_index("method")

    for name in known_metrics():
        assert {f"test_{name}", f"test_{name}_sd", f"test_{name}_undefined"} <= set(lines.columns)
    assert isnan(lines.loc["crt", "test_mcc"])
    assert lines["test_mcc_undefined"].to_dict() == {"lmd": 0, "crt": 1}
    assert lines.loc["lmd", "test_kappa"] > 0
    assert any("mcc in 1 of 2" in note and "crt on toy" in note for note in board.notes)


@pytest.mark.parametrize("form", ["table", "markdown", "latex"])
def test_a_person_sees_every_metric_and_its_direction(board: Leaderboard, form: str) -> None:
    text = " ".join(render(board, form, width=400).split())

    for word in ("mcc", "auprc", "kappa", "brier", "classwise", "worst class"):
        assert word in text
    assert ("\\downarrow" if form == "latex" else "nll ↓") in text
    assert "group scheme: third" in text
    assert "Too narrow" not in text


@pytest.mark.parametrize("width", [60, 100])
def test_a_narrow_terminal_folds_metrics_into_several_tables(
    board: Leaderboard, width: int
) -> None:
    text = render(board, "table", width=width)

    assert max(map(len, text.splitlines())) <= width
    assert text.count("Method") > 1
    assert "classwise" in text
    assert "Too narrow" not in text


def test_programs_get_every_metric_too(filled: Path, board: Leaderboard, tmp_path: Path) -> None:
    lines = csv.DictReader(io.StringIO(render(board, "csv")))
    area = {line["method"]: float(line["test_macro_auc"]) for line in lines}
    assert area["lmd"] > 0.5
    mcc = {line["method"]: line["test_mcc"] for line in json.loads(render(board, "json"))["rows"]}
    assert mcc["crt"] is None
    assert mcc["lmd"] > 0
    write_leaderboard(board, "parquet", tmp_path / "board.parquet")
    assert "test_classwise_ece" in pd.read_parquet(tmp_path / "board.parquet").columns


def test_in_latex_a_metric_that_nothing_is_tested_by_has_no_mark(filled: Path) -> None:
    board = load(filled, metrics=("nll",))
    marked = replace(board, frame=board.frame.assign(with_best=True))

    assert "\\textbf" not in render(marked, "latex")
    asked = load(filled, metrics=("balanced_accuracy", "nll"))
    marked = replace(asked, frame=asked.frame.assign(with_best=True))
    assert render(marked, "latex").count("\\textbf") == len(asked.frame)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_files_without_room_for_sentences_bear_the_watermark_in_each_line(
    filled: Path, form: str, capsys
) -> None:
    out = filled / f"board.{form}"
    emit_leaderboard(open_results(filled).leaderboard("oracle_test", at_budget="1"), form, out)

    frame = pd.read_csv(out) if form == "csv" else pd.read_parquet(out)
    assert set(frame["watermark"]) == {RULES["oracle_test"].watermark}
    assert set(frame["budget"]) == {
        "the first 1 trials of each method, those of the search of its stage 1 first"
    }
    assert "ORACLE" in capsys.readouterr().err


@pytest.mark.parametrize("form", FORMATS)
def test_metrics_of_nothing_are_no_error(study, form: str, tmp_path: Path) -> None:
    store = open_store(tmp_path, create=True)
    for one in study("crt", [0.3]):
        store.write(one)

    assert render(load(tmp_path, metrics=("mcc",)), form).endswith("\n")


def test_what_was_stored_after_temperature_scaling_can_be_shown(filled: Path) -> None:
    board = load(filled, metrics=parse_metrics("worst_class_recall,ece,scaled_ece"))

    assert board.frame["test_scaled_ece"].isna().all()  # these rows are older than the column
    assert board.frame["test_ece_by_chance"].between(0.01, 0.5).all()
    text = " ".join(render(board, width=150).split())
    assert "By chance: the ECE that probabilities as these would have" in text
    assert "low by construction" in text
    assert text.count("after temperature scaling on val") == 1
