"""Runs together: three methods at three factors, and folders that lack what an ensemble takes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lmd_bench import UserError, open_results
from lmd_bench.cli import app
from lmd_bench.leaderboard.ensembles import parse_shown
from lmd_bench.stats.ensembles import greedy_counts, weighted_mean
from lmd_bench.stats.metrics import balanced_accuracy
from lmd_bench.stats.probabilities import log_probabilities
from lmd_bench.store.merging import merge
from lmd_bench.store.store import open_store
from tests.leaderboard.conftest import TASK

FACTORS = (50.0, 100.0, 200.0)
SIGNALS = {"crt": 1.0, "lmd": 1.05, "vfc": 0.95}  # of the right class, before noise of SD 1
LABELS = {"val": np.repeat([0, 1, 2, 3], 15), "test": np.repeat([0, 1, 2, 3], [40, 40, 20, 12])}
N_SEEDS = 3


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a store, filled by the first test: fixtures of a function fill it."""
    return tmp_path_factory.mktemp("together")


@pytest.fixture
def folder(root: Path, study: Callable[..., list[dict]]) -> Path:
    """Return a folder of methods whose retrainings err on images of their own."""
    if (root / "store.json").exists():
        return root
    store, rng = open_store(root, create=True), np.random.default_rng(0)
    for factor in FACTORS:
        for name, signal in SIGNALS.items():
            task = replace(TASK, imbalance_factor=factor)
            tests = {number: [0.5] * N_SEEDS for number in (0, 1)}
            for row in study(name, [0.3, 0.5], tests, task=task):
                store.write(*_judged(row, signal, rng))
    return root


def _judged(row: dict, signal: float, rng: np.random.Generator) -> tuple[dict, list[tuple]]:
    """Return a confirmation with logits on val and test, and their scores; else the row alone."""
    if row["phase"] != "confirm":
        return row, []
    logits: list[tuple] = []
    scores = {}
    for split, labels in LABELS.items():
        z = (signal * np.eye(4)[labels] + rng.normal(size=(len(labels), 4))).astype("f4")
        scores[f"{split}_balanced_accuracy"] = balanced_accuracy(labels, z)
        images = enumerate(zip(labels.tolist(), z.tolist(), strict=True))
        logits += [(f"{split}{i:03}", split, label, image) for i, (label, image) in images]
    return row | scores, logits


@pytest.fixture
def frame(folder: Path):
    return open_results(folder).ensembles().frame


def probabilities(folder: Path, factor: float, method: str, split: str) -> np.ndarray:
    """Return the probabilities of each confirmed run of the selected trial, in order of seeds."""
    results = open_results(folder)
    board = results.leaderboard().frame.set_index(["label", "imbalance_factor"])
    rows = results.rows().query("phase == 'confirm'").sort_values("seed")
    keys = rows[rows["source_key"] == board.loc[(method, factor), "selected_key"]]["key"]
    assert len(keys) == N_SEEDS
    runs = [results.logits(key)[split] for key in keys]
    assert all(np.array_equal(labels, LABELS[split]) for _, labels, _ in runs)
    return np.stack([np.exp(log_probabilities(logits)) for _, _, logits in runs])


def of_factor(frame, factor: float, show: str):
    return frame[frame["task"].str.contains(f"IF {factor:g} ") & (frame["show"] == show)]


def test_seeds_together_gain_where_each_errs_on_images_of_its_own(frame):
    gains = frame.query("show == 'seeds'")["gain"]
    assert len(gains) == len(FACTORS) * len(SIGNALS)
    assert 100 * gains.mean() == pytest.approx(18.96, abs=0.01)
    assert (gains > 0).all()


@pytest.mark.parametrize("factor", FACTORS)
def test_seeds_together_are_the_mean_of_their_probabilities(frame, folder, factor):
    lines = of_factor(frame, factor, "seeds").set_index("label")
    assert len(lines) == len(SIGNALS)
    for method in SIGNALS:
        runs = probabilities(folder, factor, method, "test")
        line = lines.loc[f"{method}, {N_SEEDS} seeds together"]
        together = balanced_accuracy(LABELS["test"], runs.mean(axis=0))
        single = np.mean([balanced_accuracy(LABELS["test"], run) for run in runs])
        assert line["balanced_accuracy"] == pytest.approx(together)
        assert line["gain"] == pytest.approx(together - single)


@pytest.mark.parametrize("factor", FACTORS)
def test_a_greedy_ensemble_is_what_its_picks_give(frame, folder, factor):
    val, test = (
        np.concatenate([probabilities(folder, factor, method, split) for method in SIGNALS])
        for split in ("val", "test")
    )
    counts = greedy_counts(LABELS["val"], val)
    line = of_factor(frame, factor, "ensemble").squeeze(axis=0)
    together = weighted_mean(test, counts)
    assert line["balanced_accuracy"] == pytest.approx(balanced_accuracy(LABELS["test"], together))
    assert line["n_runs"] == np.count_nonzero(counts)
    # never worse on val than the best of what it could pick
    singles = of_factor(frame, factor, "single")
    assert line["val_log_loss"] < singles["val_log_loss"].min()


def test_the_scores_of_greedy_ensembles_are_those_that_were_looked_at(frame):
    lines = frame.query("show == 'ensemble'")
    assert [round(100 * score, 1) for score in lines["balanced_accuracy"]] == [71.9, 78.5, 83.1]


def test_single_runs_have_the_scores_of_the_leaderboard(frame, folder):
    board = open_results(folder).leaderboard().frame
    single = frame.query("show == 'single'")
    scores = dict(zip(single["task"] + single["label"], single["balanced_accuracy"], strict=True))
    assert len(board) == len(scores) == len(FACTORS) * len(SIGNALS)
    for line in board.to_dict("records"):
        name = f"{line['task']}{line['label']}, mean of {line['n_seeds']} runs"
        assert scores[name] == pytest.approx(line["test_balanced_accuracy"])


def test_every_line_has_an_interval_over_images_that_holds_its_score(frame):
    inside = (frame["images_low"] <= frame["balanced_accuracy"]) & (
        frame["balanced_accuracy"] <= frame["images_high"]
    )
    assert inside.all()


def run(folder: Path, *words: str):
    command = ["leaderboard", "--results", str(folder), *words]
    return CliRunner().invoke(app, command, catch_exceptions=False)


def test_show_prints_the_lines_that_are_asked_for(folder):
    text = run(folder, "--show", "seeds,ensemble").output
    assert "crt, 3 seeds together" in text
    assert "runs of 3 methods" in text
    assert "mean of 3 runs" not in text


def test_single_alone_is_the_usual_leaderboard(folder):
    assert run(folder, "--show", "single").output == run(folder).output


def test_an_ensemble_has_a_csv(folder):
    header, *lines = run(folder, "--show", "ensemble", "--format", "csv").stdout.splitlines()
    assert header.startswith("task,show,label,n_runs,balanced_accuracy,images_low,images_high")
    assert len([line for line in lines if ",ensemble," in line]) == 3


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--show", "best"), "Unknown line to show 'best'"),
        (("--show", ""), "Unknown line to show ''"),
        (("--show", "seeds", "--format", "latex"), "Unknown format 'latex'"),
        (("--show", "seeds", "--metrics", "mcc"), "goes with --show single alone"),
    ],
)
def test_what_cannot_be_shown_is_refused(folder, words, sentence):
    with pytest.raises(UserError, match=sentence):
        run(folder, *words)


def test_what_is_shown_is_named_once():
    assert parse_shown("seeds, single,seeds") == ("seeds", "single")


@pytest.mark.parametrize("left_out", [{"private": True}, {"logits": "test"}])
def test_without_logits_on_val_of_confirmed_runs_there_is_no_ensemble(folder, left_out, tmp_path):
    merge([folder], tmp_path / "part", **left_out)
    with pytest.raises(UserError, match="has logits of val and test, which ensembles take"):
        open_results(tmp_path / "part").ensembles()
