"""Searches of one method that differ in seed or split seed are one line of the leaderboard."""

from dataclasses import replace
from math import isnan

import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.core.options import from_keywords, parse_seeds
from lmd_bench.leaderboard.board import build
from lmd_bench.leaderboard.studies.group import by_table, group_studies, repeated
from lmd_bench.leaderboard.tables.render import render
from lmd_bench.search.options import SearchOptions
from tests.leaderboard.conftest import TASK


def repeat(study, number, test, method="crt", split=0, repeat_of="abc"):
    """Return the rows of one search, its number told by its study."""
    rows = study(method, [0.3], {0: test}, task=replace(TASK, split_seed=split))
    for row in rows:
        row["study"] = f"{row['study']}/{number}/{split}"
        row["repeat_of"] = repeat_of
        row["task_fingerprint"] = f"{split}{row['task_fingerprint']}"
    return rows


def test_searches_of_one_method_are_one_line_with_the_sd_over_them(study) -> None:
    rows = (
        repeat(study, 0, [0.5, 0.6]) + repeat(study, 1, [0.6, 0.7]) + repeat(study, 2, [0.7, 0.8])
    )
    rows += repeat(study, 0, [0.4, 0.4], method="lmd", repeat_of="other")
    board = build(rows)

    assert board.frame["label"].tolist() == ["crt", "lmd"]
    line = board.frame.iloc[0]
    assert line["test_balanced_accuracy"] == pytest.approx(0.65)
    assert line["sd_over_searches"] == pytest.approx(0.1)  # of .55, .65, .75
    assert line["test_balanced_accuracy_sd"] == pytest.approx(0.005**0.5)  # of two seeds .1 apart
    assert (line["n_searches"], line["n_splits"], line["n_seeds"]) == (3, 1, 6)
    assert isnan(line["sd_over_splits"])
    assert "3 searches ± 10.0" in render(board)
    assert not any("never searched" in note for note in board.notes)


def test_searches_are_repeats_though_a_retraining_does_not_say_so(study) -> None:
    rows = repeat(study, 0, [0.5, 0.6]) + repeat(study, 1, [0.6, 0.7])
    for row in rows:
        row["repeat_of"] = None if row["phase"] == "confirm" else row["repeat_of"]
    rows.sort(key=lambda row: row["phase"])  # a retraining comes first

    (repeats,) = repeated(group_studies(rows))

    assert len(repeats) == 2


def test_metrics_that_were_asked_for_are_means_over_the_searches_too(study) -> None:
    rows = repeat(study, 0, [0.5, 0.6]) + repeat(study, 1, [0.6, 0.7])
    for number, row in enumerate(rows):
        row["test_mcc"] = None if row["phase"] == "search" else 0.1 * number
    (line,) = build(rows, metrics=("mcc",)).frame.to_dict("records")
    of_runs = [row["test_mcc"] for row in rows if row["phase"] == "confirm"]
    assert line["test_mcc"] == pytest.approx(sum(of_runs) / 4)
    assert line["test_mcc_undefined"] == 0


def test_one_search_of_fewer_trials_marks_the_line(study) -> None:
    rows = repeat(study, 0, [0.5, 0.6]) + repeat(study, 1, [0.6, 0.7])
    others = study("lmd", [0.3, 0.4], {0: [0.5, 0.5]})
    others = [row | {"task_fingerprint": rows[0]["task_fingerprint"]} for row in others]
    lines = build(rows + others).frame.set_index("label")
    assert lines.loc["crt", "fewer_trials"]
    assert not lines.loc["lmd", "fewer_trials"]


def test_searches_on_several_splits_have_both_spreads_and_every_split_counts_the_same(
    study,
) -> None:
    rows = repeat(study, 0, [0.5, 0.5]) + repeat(study, 1, [0.7, 0.7])
    rows += repeat(study, 0, [0.8, 0.8], split=1)
    (line,) = build(rows).frame.to_dict("records")

    assert line["test_balanced_accuracy"] == pytest.approx(0.7)  # of .6 and .8
    assert line["sd_over_searches"] == pytest.approx(0.02**0.5)
    assert line["sd_over_splits"] == pytest.approx(0.02**0.5)
    # Student's t of two splits, whose means have a standard error of .1
    assert line["test_balanced_accuracy_seeds_high"] == pytest.approx(0.7 + 12.706 * 0.1, abs=1e-3)
    assert isnan(line["test_balanced_accuracy_high"])  # rows alone do not know the images
    assert line["task"] == "toy · balanced · IF 100 · 32 px · 2 splits"
    assert "2 searches ± 14.1, 2 splits ± 14.1" in render(build(rows), width=200)


def test_versions_of_a_data_set_are_no_splits(study) -> None:
    """Of one split seed there are two tasks; which of them another split is of, nobody can tell."""
    rows = repeat(study, 0, [0.5, 0.6]) + repeat(study, 1, [0.5, 0.6])
    rows += repeat(study, 0, [0.7, 0.7], split=1)
    others = [row | {"task_fingerprint": f"9{row['task_fingerprint']}"} for row in rows[:3]]
    rows += others
    board = build(rows)

    assert len({*board.frame["task"]}) == 3
    assert board.frame["n_splits"].tolist() == [1, 1, 1]
    assert sorted(board.frame["n_searches"]) == [1, 1, 2]
    (note,) = [note for note in board.notes if "kept apart" in note]
    assert "00123456" in note
    assert "90012345" in note
    assert "split 1" not in note
    tables = by_table(group_studies(rows))
    assert {*tables} == {*board.frame["task"]}
    assert not any("kept apart" in note for note in build(rows[:-3]).notes)


def test_searches_that_repeat_nothing_stay_apart(study) -> None:
    for first, other in (("abc", "def"), (None, None)):
        rows = repeat(study, 0, [0.5], repeat_of=first) + repeat(study, 1, [0.6], repeat_of=other)
        board = build(rows)
        assert len(board.frame) == 2
        assert "Repeats" not in render(board)


@pytest.mark.parametrize(("text", "seeds"), [("0:3", [0, 1, 2]), (":2", [0, 1]), ("4,0,4", [4, 0])])
def test_seeds_are_a_range_or_a_list(text, seeds) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["3:1", "a", "", "-1", "1:2:3"])
def test_what_names_no_seeds_is_refused(text) -> None:
    with pytest.raises(UserError, match="names no seeds"):
        parse_seeds(text)


def test_split_seeds_are_tasks_and_search_seeds_are_searches() -> None:
    asked = {"dataset": ["synthetic"], "method": ["crt"], "image_size": 8}
    options = from_keywords(SearchOptions, asked | {"split_seeds": "0:2", "search_seeds": "0:3"})
    request = options.request()
    assert [spec.split_seed for spec, _ in request.tasks] == [0, 1]
    assert [repeat.seed for repeat in options.by_seed(request)] == [0, 1, 2]


def test_one_seed_and_several_are_not_asked_for_at_once() -> None:
    asked = {"dataset": ["synthetic"], "method": ["crt"], "image_size": 8}
    splits = from_keywords(SearchOptions, asked | {"split_seed": 1, "split_seeds": "0:2"})
    with pytest.raises(UserError, match="not both"):
        splits.specs()
    request = from_keywords(SearchOptions, asked).request()
    seeds = from_keywords(SearchOptions, asked | {"seed": 1, "search_seeds": "0:2"})
    with pytest.raises(UserError, match="not both"):
        seeds.by_seed(request)


def test_folds_are_searched_one_after_the_other_and_repeated() -> None:
    asked = {"dataset": ["synthetic"], "method": ["crt"], "image_size": 8, "folds": 3}
    specs = from_keywords(SearchOptions, asked | {"repeats": 2}).specs()
    assert {spec.protocol for spec in specs} == {"folds_3"}
    assert [spec.split_seed for spec in specs] == list(range(6))
    (one,) = from_keywords(SearchOptions, asked | {"split_seeds": "4"}).specs()
    assert one.split_seed == 4


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"repeats": 2}, "--folds"),
        ({"folds": 3, "repeats": 2, "split_seed": 1}, "neither --split-seed"),
        ({"folds": 3, "protocol": "natural"}, "leave one of them out"),
    ],
)
def test_folds_that_make_no_sense_are_refused(asked, words) -> None:
    options = from_keywords(SearchOptions, {"dataset": ["synthetic"], "method": ["crt"]} | asked)
    with pytest.raises(UserError, match=words):
        options.specs()
