"""`lmd-bench ranks` over hand-made rows."""

import json
from pathlib import Path

import numpy as np
import pytest

from lmd_bench.cli import app
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import TaskSpec
from lmd_bench.experiments.results import open_results
from lmd_bench.leaderboard.board import build
from lmd_bench.leaderboard.ranking import picture, rank, run_frame
from lmd_bench.leaderboard.studies.group import group_studies
from lmd_bench.leaderboard.studies.rules import RULES
from lmd_bench.leaderboard.studies.rules import VAL_BALANCED_ACCURACY as RULE
from lmd_bench.store.merging import merge
from lmd_bench.store.store import open_store

NAMES = ("best", "same", "worst")


def _rows(study, n_tasks: int, *, one_dataset: bool = False) -> list[dict]:
    rows = []
    for number in range(n_tasks):
        dataset = "toy" if one_dataset else f"toy{number}"
        task = TaskSpec(dataset=dataset, imbalance_factor=10.0 + number, image_size=32)
        wobble = 0.01 * (-1) ** number
        for name, score in zip(NAMES, (0.7, 0.7 + wobble, 0.3 + number / 100), strict=True):
            rows += study(name, [0.3], {0: [score]}, task=task)
    return rows


def test_a_method_without_every_task_is_left_out_and_named(study) -> None:
    task = TaskSpec(dataset="toy0", imbalance_factor=10.0, image_size=32)
    ranking = rank(build(_rows(study, 2) + study("alone", [0.3], {0: [0.9]}, task=task)))

    assert ranking.methods == ("best", "same", "worst")
    assert ranking.ranks.tolist() == [1.5, 1.5, 3.0]
    assert ranking.left_out == ("alone",)
    assert ranking.tests is None


def test_six_data_sets_are_tested_and_drawn(study) -> None:
    ranking = rank(build(_rows(study, 8)))

    assert ranking.tests is not None
    assert ranking.tests.cliques == ((0, 1),)
    lines = picture(ranking)
    assert lines[0].split() == ["rank", "1", "3"]
    assert sum("●" in line for line in lines) == 3
    assert sum("━" in line for line in lines) == 1


def test_factors_of_one_data_set_are_one_row_and_are_not_tested(study) -> None:
    """Eight factors share images: Friedman's test would count the same evidence eight times."""
    ranking = rank(build(_rows(study, 8, one_dataset=True)))

    assert ranking.datasets == ("toy",)
    assert len(ranking.tasks) == 8
    assert ranking.scores[0] == pytest.approx([0.7, 0.7, 0.335])
    assert ranking.tests is None
    assert np.isnan(ranking.aggregates["rank"].low).all()


def test_mean_ranks_and_win_rates_have_intervals_over_data_sets(study) -> None:
    ranking = rank(build(_rows(study, 8)))

    order = ranking.methods.index("worst")
    ranks, wins = ranking.aggregates["rank"], ranking.aggregates["win_rate"]
    assert (ranks.low[order], ranks.values[order], ranks.high[order]) == (3, 3, 3)
    assert ranks.low[0] < ranks.values[0] < ranks.high[0]
    assert wins.values[order] == 0
    assert any("not told apart" in line for line in picture(ranking))


def test_runs_are_rows_of_method_task_seed_and_error(tmp_path: Path, study, capsys) -> None:
    _fill(tmp_path, _rows(study, 2))

    app(
        ["ranks", "--results", str(tmp_path), "--format", "csv", "--part", "runs"],
        standalone_mode=False,
    )

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("method,task,dataset,seed,error,")
    assert len(lines) == 1 + 6
    first = dict(zip(lines[0].split(","), lines[1].split(","), strict=True))
    assert (first["method"], first["dataset"]) == ("best", "toy0")
    assert float(first["error"]) == pytest.approx(0.3)


def test_tasks_without_a_common_method_cannot_be_ranked(study) -> None:
    other = TaskSpec(dataset="toy", imbalance_factor=20.0, image_size=32)
    rows = study("crt", [0.3], {0: [0.5]}) + study("lmd", [0.3], {0: [0.5]}, task=other)

    with pytest.raises(UserError, match="No method has a confirmed score on every task"):
        rank(build(rows))


def _fill(root: Path, rows: list[dict]) -> None:
    store = open_store(root, create=True)
    labels = np.repeat(np.arange(4), 10)
    for number, row in enumerate(rows):
        right = np.random.default_rng(number).uniform(size=40) < 0.6
        logits = np.eye(4)[np.where(right, labels, (labels + 1) % 4)]
        images = [
            (f"{i}", "test", y, z)
            for i, (y, z) in enumerate(zip(labels.tolist(), logits.tolist(), strict=True))
        ]
        store.write(row, images if row["phase"] == "confirm" else ())


def test_the_text_says_why_nothing_is_tested(tmp_path: Path, study, capsys) -> None:
    _fill(tmp_path, _rows(study, 2))

    app(["ranks", "--results", str(tmp_path)], standalone_mode=False)

    text = " ".join(capsys.readouterr().out.split())
    assert "Over 2 data sets by test balanced accuracy" in text
    assert "tests and intervals take at least 6 data sets, and 2 came" in text
    assert "share of draws of test images" in text
    assert text.count("1 seed ") == 2


def test_json_holds_the_tests_of_enough_data_sets(tmp_path: Path, study, capsys) -> None:
    _fill(tmp_path, _rows(study, 6))

    app(["ranks", "--results", str(tmp_path), "--format", "json"], standalone_mode=False)

    data = json.loads(capsys.readouterr().out)
    assert len(data["tasks"]) == 6
    assert len(data["pairs"]) == 3
    assert data["average_ranks"][2] == 3.0
    assert len(data["first_places"]) == 6
    (place, *_) = data["first_places"].values()
    assert place["chances"] == [None] * 3  # of one run each


def test_the_text_of_six_data_sets_says_that_no_pair_could_differ(
    tmp_path: Path, study, capsys
) -> None:
    _fill(tmp_path, _rows(study, 6))

    app(["ranks", "--results", str(tmp_path)], standalone_mode=False)

    text = " ".join(capsys.readouterr().out.split())
    assert "Friedman: chi-squared" in text
    assert "Holm over 3 pairs): none." in text
    assert (
        "With 6 data sets and 3 methods no pair can differ: the smallest possible p is 0.094"
        in text
    )


def test_runs_of_repeated_searches_are_of_one_method(study) -> None:
    rows: list[dict] = []
    for search in range(2):
        for row in study("crt", [0.3], {0: [0.5, 0.6]}):
            row |= {"study": f"{row['study']}/{search}", "repeat_of": "crts"}
            rows.append(row | {"seed": row["seed"] + 10 * search})
    rows += study("lmd", [0.3], {0: [0.5]})

    frame = run_frame(group_studies(rows), RULE)

    assert frame["method"].value_counts().to_dict() == {"crt": 4, "lmd": 1}


def test_methods_chosen_on_test_have_their_chance_to_be_better(study) -> None:
    """Labels of such a leaderboard say so at their end, and those of runs do not."""
    rows, rule = _rows(study, 2), RULES["oracle_test"]
    ranking = rank(build(rows, rule), run_frame(group_studies(rows), rule))
    usual = rank(build(rows), run_frame(group_studies(rows), RULE))

    assert {name.partition(" (")[0] for name in ranking.methods} == {*usual.methods}
    assert ranking.methods != usual.methods
    better = ranking.aggregates["improvement_probability"].values
    assert better.tolist() == usual.aggregates["improvement_probability"].values.tolist()
    assert better[-1] == 0  # the worst method


def _in_two_folders(tmp_path: Path, study) -> tuple[Path, Path, list[dict]]:
    rows = _rows(study, 2)
    first = [row for row in rows if row["dataset"] == "toy0"]
    _fill(tmp_path / "one", first)
    _fill(tmp_path / "two", [row for row in rows if row["dataset"] == "toy1"])
    return tmp_path / "one", tmp_path / "two", first


def test_tasks_of_several_folders_are_ranked_together(tmp_path: Path, study, capsys) -> None:
    one, two, _ = _in_two_folders(tmp_path, study)
    merge([one, two], tmp_path / "all")

    app(["ranks", "--results", str(one), "--also", str(two)], standalone_mode=False)
    together = capsys.readouterr().out
    app(["ranks", "--results", str(tmp_path / "all")], standalone_mode=False)

    assert together == capsys.readouterr().out
    assert "Over 2 data sets" in together
    assert "IQM" in together  # which takes the logits of both


def test_a_trial_that_two_folders_hold_counts_once(tmp_path: Path, study, capsys) -> None:
    one, two, _ = _in_two_folders(tmp_path, study)
    app(["ranks", "--results", str(one), "--also", str(two)], standalone_mode=False)
    once = capsys.readouterr().out
    merge([one], two)

    app(["ranks", "--results", str(one), "--also", str(two)], standalone_mode=False)

    assert capsys.readouterr().out == once


def test_a_trial_with_two_outcomes_is_refused(tmp_path: Path, study) -> None:
    one, _, first = _in_two_folders(tmp_path, study)
    _fill(tmp_path / "other", [{**row, "val_balanced_accuracy": 0.9} for row in first])

    with pytest.raises(UserError, match="another outcome in .*other"):
        open_results(one).ranks(also=[tmp_path / "other"])
