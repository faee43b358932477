"""Runs together: the reference rows, and a folder that lacks what an ensemble takes."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lmd_bench import UserError, open_results
from lmd_bench.cli import app
from lmd_bench.leaderboard.ensembles import parse_shown
from lmd_bench.stats.metrics import balanced_accuracy
from lmd_bench.stats.probabilities import log_probabilities

REFERENCE = Path(__file__).parents[2] / "results" / "reference" / "ham10000-32px"


@pytest.fixture(scope="module")
def frame():
    return open_results(REFERENCE).ensembles().frame


def test_seeds_together_gain_a_point_on_the_reference_rows(frame):
    gains = frame.query("show == 'seeds'")["gain"]
    assert len(gains) == 39
    assert 100 * gains.mean() == pytest.approx(1.07, abs=0.01)
    assert (gains > 0).sum() == 31


def test_a_greedy_ensemble_of_the_reference_rows_is_what_its_picks_give(frame):
    lines = frame.query("show == 'ensemble'")
    scores = [round(100 * score, 1) for score in lines["balanced_accuracy"]]
    assert scores == [41.3, 38.3, 35.7]
    # never worse on val than the best of what it could pick
    for task, line in lines.set_index("task").iterrows():
        singles = frame[(frame["task"] == task) & (frame["show"] == "single")]
        assert line["val_log_loss"] < singles["val_log_loss"].min()


def test_seeds_together_are_the_mean_of_their_probabilities(frame):
    results = open_results(REFERENCE)
    rows = results.rows()
    of_crt = rows[(rows["method"] == "crt") & (rows["imbalance_factor"] == 100)]
    board = results.leaderboard().frame
    selected = board.query("method == 'crt' and imbalance_factor == 100")["selected_key"].iloc[0]
    keys = of_crt[(of_crt["phase"] == "confirm") & (of_crt["source_key"] == selected)]["key"]
    splits = [results.logits(key)["test"] for key in keys]
    mean = np.mean([np.exp(log_probabilities(logits)) for _, _, logits in splits], axis=0)
    line = frame[frame["task"].str.contains("IF 100") & (frame["label"].str.startswith("crt, 3"))]
    assert line["balanced_accuracy"].item() == pytest.approx(balanced_accuracy(splits[0][1], mean))


def test_single_runs_have_the_scores_of_the_leaderboard(frame):
    board = open_results(REFERENCE).leaderboard().frame
    single = frame.query("show == 'single'")
    scores = dict(zip(single["task"] + single["label"], single["balanced_accuracy"], strict=True))
    for line in board.to_dict("records"):
        name = f"{line['task']}{line['label']}, mean of {line['n_seeds']} runs"
        assert scores[name] == pytest.approx(line["test_balanced_accuracy"])


def test_every_line_has_an_interval_over_images_that_holds_its_score(frame):
    inside = (frame["images_low"] <= frame["balanced_accuracy"]) & (
        frame["balanced_accuracy"] <= frame["images_high"]
    )
    assert inside.all()


def run(*words: str):
    command = ["leaderboard", "--results", str(REFERENCE), *words]
    return CliRunner().invoke(app, command, catch_exceptions=False)


def test_show_prints_the_lines_that_are_asked_for():
    text = run("--show", "seeds,ensemble").output
    assert "crt, 3 seeds together" in text
    assert "runs of 7 methods" in text
    assert "mean of 3 runs" not in text


def test_single_alone_is_the_usual_leaderboard():
    assert run("--show", "single").output == run().output


def test_an_ensemble_has_a_csv():
    header, *lines = run("--show", "ensemble", "--format", "csv").stdout.splitlines()
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
def test_what_cannot_be_shown_is_refused(words, sentence):
    with pytest.raises(UserError, match=sentence):
        run(*words)


def test_what_is_shown_is_named_once():
    assert parse_shown("seeds, single,seeds") == ("seeds", "single")


def test_without_logits_of_confirmed_runs_there_is_no_ensemble(tmp_path):
    from lmd_bench.store.merging import merge

    merge([REFERENCE], tmp_path / "private", private=True)
    with pytest.raises(UserError, match="has logits of val and test, which ensembles take"):
        open_results(tmp_path / "private").ensembles()
