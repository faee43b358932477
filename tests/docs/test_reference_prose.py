"""Each number that the prose of docs/reference-results.md takes from the rows, computed again."""

import json
import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from lmd_bench.experiments.ablation.analysis import read_ablations
from lmd_bench.experiments.results import Results, open_results
from tests.docs.blocks import ROOT

FOLDER = ROOT / "results" / "reference" / "ham10000-32px"
PAGE = " ".join((ROOT / "docs" / "reference-results.md").read_text(encoding="utf-8").split())


@pytest.fixture(scope="module")
def results() -> Results:
    return open_results(FOLDER)


@pytest.fixture(scope="module")
def rows(results: Results) -> pd.DataFrame:
    return results.rows()


@pytest.fixture(scope="module")
def board(results: Results) -> pd.DataFrame:
    frame = results.leaderboard().frame
    return frame.set_index(["label", frame["imbalance_factor"].astype(int)])


def encoders(rows: pd.DataFrame, representation: str) -> pd.DataFrame:
    ended = rows[(rows["representation"] == representation) & (rows["status"] == "ok")]
    return ended.drop_duplicates("encoder_key")


def test_how_many_encoders_were_kept_before_their_method_began(rows) -> None:
    rrl = encoders(rows, "rrl")
    configs = rrl["config_json"].map(json.loads)
    hard = configs.map(lambda config: config["rrl.ramp"] == "hard")
    steps = rrl["n_train"] // configs.map(lambda config: config["training.batch_size"])
    share = configs.map(lambda config: config["rrl.warmup_fraction"])
    before = rrl["best_epoch"] * steps <= share * steps * rrl["n_epochs"]

    assert f"holds {len(rrl)} RRL encoders. {hard.sum()} have a hard warm-up" in PAGE
    assert f"**{(hard & before).sum()} of these {hard.sum()} were kept" in PAGE
    medians = [encoders(rows, name)["best_epoch"].median() for name in ("cross_entropy", "rrl")]
    assert f"is {medians[0]:.0f} for cross-entropy and {medians[1]:.0f} for RRL" in PAGE


def test_at_which_epochs_the_tuned_and_default_runs_were_kept(rows, board) -> None:
    def kept(method: str, factor: int, *, default: bool) -> list[int]:
        runs = rows[(rows["phase"] == "confirm") & (rows["method"] == method)]
        runs = runs[runs["imbalance_factor"] == factor]
        source = board.loc[(method, factor), "selected_key"]
        chosen = runs["is_default"] if default else runs["source_key"] == source
        return sorted(runs[chosen]["best_epoch"].astype(int))

    assert kept("lmd", 100, default=False) == kept("rrl", 100, default=False) == [3, 3, 4]
    assert "The tuned `lmd` and `rrl` at factor 100 were kept at 3, 3 and 4 too" in PAGE
    assert kept("lmd", 200, default=True) == [1, 2, 2]
    assert "default `lmd` at factor 200 was kept at 1, 2 and 2" in PAGE


def test_the_default_of_rrl_ends_at_one_class(rows) -> None:
    runs = rows[(rows["method"] == "rrl") & (rows["phase"] == "confirm") & rows["is_default"]]
    assert len(runs) == 9
    assert np.allclose(
        [row["val_balanced_accuracy"] for row in runs["curve"].map(lambda c: c[-1])], 1 / 7
    )
    assert "All nine default confirmation runs of RRL end at exactly 1/7 on val" in PAGE


def test_the_sizes_of_the_sets(rows) -> None:
    tasks = rows[rows["status"] == "ok"].drop_duplicates("imbalance_factor")
    tasks = tasks.sort_values("imbalance_factor")
    largest = [int(max(counts)) for counts in tasks["class_counts"]]
    n_train = [int(n) for n in tasks["n_train"]]
    assert f"{largest[0]}, {largest[1]} and {largest[2]} images of the largest class" in PAGE
    assert f"{n_train[0]:,}, {n_train[1]:,} and {n_train[2]:,} in all" in PAGE
    confirmed = rows[rows["phase"] == "confirm"]
    assert {tuple(counts) for counts in confirmed["test_counts"].dropna()} <= {(28,) * 7}
    assert set(confirmed["n_test"].dropna().astype(int)) == {196}
    assert set(tasks["n_val"].astype(int)) == {119}
    assert "the same 196 test images at all factors, 28 of each class; 119 val images" in PAGE


def test_the_size_of_the_search_and_of_the_ablation(rows, board) -> None:
    assert f"{board['method'].nunique()} methods, 5 trials a study, 3 confirmation seeds" in PAGE
    cells = {study for study in rows["study"] if "lmd" in study}
    assert cells
    trials = Counter(rows[rows["phase"] == "search"]["study"])
    searched = [n for study, n in trials.items() if study in set(board["study"])]
    assert max(searched) == 5
    assert set(board["n_seeds"]) == {3}
    (analysis,) = read_ablations(FOLDER)
    assert f"{len(analysis.cells)} cells of LMD at factor 100" in PAGE


def test_the_cells_of_the_ablation() -> None:
    (analysis,) = read_ablations(FOLDER)
    for title, name in {
        "CE": "ce",
        "CE + L_prob": "ce_prob",
        "CE + L_prob + L_batch": "ce_prob_batch",
        "RRL (all three losses)": "rrl_alone",
    }.items():
        values = 100 * np.array(list(analysis.cells[name].values["balanced_accuracy"].values()))
        assert f"| {title} | {values.mean():.1f} ± {values.std(ddof=1):.1f} |" in PAGE


def test_the_means_that_still_stand(board) -> None:
    def said(method: str, factor: int) -> str:
        mean, sd = board.loc[
            (method, factor), ["test_balanced_accuracy", "test_balanced_accuracy_sd"]
        ]
        return f"{100 * mean:.1f} ± {100 * sd:.1f}"

    best = {
        factor: board.xs(factor, level=1)["test_balanced_accuracy"].idxmax()
        for factor in (50, 100, 200)
    }
    assert best == {50: "balanced_softmax", 100: "logistic_regression", 200: "logistic_regression"}
    assert f"highest mean at factor 50 ({said('balanced_softmax', 50)} %)" in PAGE
    logistic = [said("logistic_regression", factor) for factor in (100, 200, 50)]
    assert f"({logistic[0]} and {logistic[1]} %; {logistic[2]} at 50)" in PAGE

    def gain(method: str, factor: int) -> float:
        line = board.loc[(method, factor)]
        return 100 * (line["test_balanced_accuracy"] - line["default_test_balanced_accuracy"])

    falls = f"the mean of `tau_norm` falls by {-gain('tau_norm', 50):.1f} points, at 200 that of"
    assert f"{falls} `vfc` by {-gain('vfc', 200):.1f};" in PAGE


def test_the_files_beside_the_rows_hold_their_scores(board) -> None:
    stored = pd.read_csv(FOLDER / "leaderboard.csv")
    stored = stored.set_index(["label", stored["imbalance_factor"].astype(int)])
    names = ["test_balanced_accuracy", "test_balanced_accuracy_sd", "val_balanced_accuracy"]
    pd.testing.assert_frame_equal(stored[names].sort_index(), board[names].sort_index(), rtol=1e-12)
    text = (FOLDER / "leaderboard.md").read_text(encoding="utf-8")
    for (method, _), line in board.iterrows():
        mean, sd = line["test_balanced_accuracy"], line["test_balanced_accuracy_sd"]
        assert re.search(rf"\| {re.escape(method)} +\| \**{100 * mean:.1f} ± {100 * sd:.1f}", text)
