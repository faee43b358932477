from math import isnan, sqrt
from pathlib import Path

import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import TaskSpec
from lmd_bench.core.text import task_label
from lmd_bench.leaderboard.board import build, load
from lmd_bench.leaderboard.line import SCORES, line_columns
from lmd_bench.leaderboard.studies.budget import Budget
from lmd_bench.leaderboard.studies.rules import RULES
from lmd_bench.leaderboard.tables.columns import trials_text
from lmd_bench.store.compaction import compact
from lmd_bench.store.store import open_store


def test_scores_are_the_mean_and_spread_of_the_selected_configs_confirmation(study) -> None:
    board = build(study("crt", [0.3, 0.5], {1: [0.6, 0.8], 0: [0.4, 0.4]}))

    line = board.frame.iloc[0]
    assert line["test_balanced_accuracy"] == pytest.approx(0.7)
    assert line["test_balanced_accuracy_sd"] == pytest.approx(0.1 * sqrt(2.0))
    assert line["n_seeds"] == 2
    assert line["test_macro_f1"] == pytest.approx(0.65)
    assert line["test_many_recall"] == pytest.approx(0.9)
    assert line["test_few_recall"] == pytest.approx(0.5)
    assert line["val_balanced_accuracy"] == 0.5
    assert board.notes == ()


def test_default_config_stands_beside_the_tuned_one(study) -> None:
    line = build(study("crt", [0.3, 0.5], {1: [0.6, 0.8], 0: [0.4, 0.5]})).frame.iloc[0]

    assert line["default_test_balanced_accuracy"] == pytest.approx(0.45)
    assert line["default_n_seeds"] == 2
    assert not line["default_was_selected"]


def test_a_selected_default_is_shown_in_both_places(study) -> None:
    line = build(study("crt", [0.5, 0.3], {0: [0.6, 0.8]})).frame.iloc[0]

    assert line["default_was_selected"]
    assert line["default_test_balanced_accuracy"] == line["test_balanced_accuracy"]


def test_an_unconfirmed_default_is_undefined_and_not_left_out(study) -> None:
    line = build(study("crt", [0.3, 0.5], {1: [0.6]})).frame.iloc[0]

    assert isnan(line["default_test_balanced_accuracy"])
    assert line["default_n_seeds"] == 0


def test_methods_are_sorted_by_tuned_test_score_within_their_task(study) -> None:
    other = TaskSpec(dataset="toy", imbalance_factor=20.0, image_size=32)
    rows = study("low", [0.9], {0: [0.3]}) + study("high", [0.1], {0: [0.6]})
    rows += study("other", [0.5], {0: [0.9]}, task=other)

    assert list(build(rows).frame["method"]) == ["other", "high", "low"]


def test_seconds_sum_every_row_of_the_study(study) -> None:
    line = build(study("crt", [0.3, None], {0: [0.6, None]})).frame.iloc[0]

    assert line["seconds"] == 4 * 10.0
    assert line["standalone_seconds"] == 4 * 30.0


def test_failed_trials_count_as_trials_but_not_as_ended_well(study) -> None:
    line = build(study("crt", [0.3, None, None], {0: [0.6]})).frame.iloc[0]

    assert (line["n_trials_ok"], line["n_trials"]) == (1, 3)


def test_failed_confirmation_runs_are_counted_and_told(study) -> None:
    board = build(study("crt", [0.3], {0: [0.6, None]}))

    line = board.frame.iloc[0]
    assert (line["n_seeds"], line["n_seeds_failed"]) == (1, 1)
    assert line["test_balanced_accuracy"] == 0.6
    assert len(board.notes) == 1
    assert board.notes[0].startswith("the tuned configuration did not finish with every seed: crt")
    assert "(2 runs: 1 ok, 1 oom)" in board.notes[0]


def test_a_confirmation_that_failed_throughout_stays_in_the_table_at_the_end(study) -> None:
    rows = study("broken", [0.9], {0: [None]}) + study("crt", [0.3], {0: [0.1]})

    frame = build(rows).frame

    assert list(frame["method"]) == ["crt", "broken"]
    assert isnan(frame["test_balanced_accuracy"].iloc[1])


def test_a_study_without_confirmation_becomes_a_note(study) -> None:
    board = build(study("rrl", [0.3, 0.4]))

    assert len(board.frame) == 0
    assert tuple(board.frame.columns) == line_columns()
    assert board.notes[0].startswith("searched, not confirmed: rrl (2 trials) on toy")
    assert "(2 trials)" in board.notes[0]


def test_a_selection_without_confirmation_is_a_missing_cell_and_the_command_that_fills_it(
    study,
) -> None:
    rows = study("crt", [0.3, 0.5], {0: [0.6]})
    board = build(rows, results=" --results here")

    line = board.frame.iloc[0]
    assert isnan(line["test_balanced_accuracy"])
    assert line["n_seeds"] == 0
    assert line["default_test_balanced_accuracy"] == 0.6
    assert board.notes[0].startswith("missing, as only other configurations are confirmed: crt on")
    assert board.notes[0].endswith(f"lmd-bench confirm {rows[1]['key']} --results here fills it")


def test_the_rule_chooses_the_line(study) -> None:
    rows = study("crt", [0.3, 0.5], {0: [0.6], 1: [0.4]})
    for row, score in zip(rows, (0.9, 0.1), strict=False):
        row["val_macro_f1"] = score

    frame = build(rows, RULES["val_macro_f1"]).frame

    assert frame["test_balanced_accuracy"].iloc[0] == 0.6
    assert frame["rule"].iloc[0] == "val_macro_f1"


def test_what_the_oracle_chose_is_named_in_every_line(study) -> None:
    frame = build(study("crt", [0.3, 0.5], {0: [0.6], 1: [0.4]}), RULES["oracle_test"]).frame

    assert frame["label"].iloc[0] == "crt (chosen on test)"
    assert frame["test_balanced_accuracy"].iloc[0] == 0.6


def test_a_rule_that_can_judge_no_trial_says_so(study) -> None:
    board = build(study("crt", [0.3, 0.5], {0: [None]}), RULES["oracle_test"])

    assert board.notes[0].startswith("searched, no trial that oracle_test can judge: crt on toy")


def test_at_a_budget_later_trials_are_not_looked_at(study) -> None:
    rows = study("crt", [0.3, 0.5], {0: [0.6], 1: [0.4]})

    board = build(rows, budget=Budget(1.0, "trials"))

    assert board.frame["test_balanced_accuracy"].iloc[0] == 0.6
    assert board.frame["n_trials"].iloc[0] == 1
    assert board.budget == Budget(1.0, "trials")


def test_what_a_smaller_budget_selects_may_be_missing(study) -> None:
    rows = study("crt", [0.3, 0.4, 0.5], {0: [0.6], 2: [0.7]})

    board = build(rows, budget=Budget(2.0, "trials"))

    assert isnan(board.frame["test_balanced_accuracy"].iloc[0])
    assert f"lmd-bench confirm {rows[1]['key']}" in board.notes[0]


def test_a_budget_that_pays_for_no_trial_is_a_note(study) -> None:
    board = build(study("crt", [0.3], {0: [0.6]}), budget=Budget(0.001, "hours"))

    assert len(board.frame) == 0
    assert board.notes[0].startswith("no trial within the budget: crt on toy")


def test_a_study_without_any_finished_trial_becomes_a_note(study) -> None:
    board = build(study("crt", [None, None]))

    assert board.notes[0].startswith("searched, no trial finished: crt on toy")
    assert "(2 trials: 2 diverged)" in board.notes[0]


def test_a_study_with_fewer_trials_than_the_largest_of_its_task_is_marked(study) -> None:
    rows = study("crt", [0.3, 0.4], {1: [0.5]}) + study("tau_norm", [0.3], {0: [0.6]})

    frame = build(rows).frame.set_index("method")

    assert frame["fewer_trials"].to_dict() == {"tau_norm": True, "crt": False}


def test_a_study_outside_the_table_marks_no_other(study) -> None:
    rows = study("crt", [0.3], {0: [0.5]}) + study("rrl", [0.3, 0.4])

    assert not build(rows).frame["fewer_trials"].any()


def test_several_studies_of_one_method_are_told_apart_and_unequal_epochs_are_noted(study) -> None:
    rows = study("crt", [0.3], {0: [0.5]}) + study("crt", [0.3], {0: [0.6]}, n_epochs=20)

    board = build(rows)

    assert list(board.frame["label"]) == ["crt [toy-100.0/crt/20]", "crt [toy-100.0/crt/8]"]
    assert board.notes[-1].startswith("trained for different numbers of epochs on toy")
    assert board.notes[-1].endswith(": 8, 20")


def test_task_label_says_what_differs_between_tasks(row) -> None:
    assert task_label(row("crt")) == "toy · balanced · IF 100 · 32 px · 01234567"
    natural = TaskSpec(dataset="toy", protocol="lmd", split_seed=3, image_size=64, n_max=500)
    label = task_label(row("crt", task=natural))
    assert label == "toy · lmd · natural · n_max 500 · split 3 · 64 px · 01234567"


def test_a_folder_without_rows_is_an_error_that_says_what_to_run(tmp_path: Path) -> None:
    open_store(tmp_path, create=True)

    with pytest.raises(UserError, match=r"no rows in .*run lmd-bench search first"):
        load(tmp_path)


def test_damaged_files_are_named_in_a_note(tmp_path: Path, study) -> None:
    store = open_store(tmp_path, create=True)
    for row in study("crt", [0.3], {0: [0.5]}):
        store.write(row)
    (tmp_path / "trials" / "broken.parquet").write_bytes(b"PAR1")

    board = load(tmp_path)

    assert len(board.frame) == 1
    assert "trials/broken.parquet" in board.notes[0]


def test_a_folder_with_damaged_files_alone_names_them(tmp_path: Path) -> None:
    open_store(tmp_path, create=True)
    (tmp_path / "trials" / "broken.parquet").write_bytes(b"")

    with pytest.raises(UserError, match=r"cannot be read \(trials/broken.parquet\)"):
        load(tmp_path)


def test_a_folder_gives_the_same_as_its_rows_single_or_compacted(tmp_path: Path, study) -> None:
    other = TaskSpec(dataset="toy", imbalance_factor=None, image_size=32, n_max=5)
    rows = study("crt", [0.3, 0.5], {1: [0.6, 0.8], 0: [0.4, None]}) + study("rrl", [0.1, 0.2])
    rows += study("crt", [0.9], {0: [0.3]}, task=other) + study("focal", [None])
    store = open_store(tmp_path, create=True)
    for row in reversed(rows):
        store.write(row)
    by_hand = build(store.rows(), results=f" --results {tmp_path}")

    for _ in range(2):
        board = load(tmp_path)
        assert board.frame.equals(by_hand.frame)
        assert board.notes == by_hand.notes
        compact(tmp_path)


@pytest.mark.parametrize(
    ("share", "epoch", "noted"),
    [
        (0.025, 4, True),  # a warm-up of .39 x 10 epochs, kept right after it
        (0.61, 10, False),  # the same warm-up, the last epoch
        (0.2, 10, False),  # DRW at .8: the most there is
        (None, None, False),  # a row of before it was measured
    ],
)
def test_a_run_kept_before_its_method_had_begun_is_noted(row, share, epoch, noted) -> None:
    columns = {"full_objective_share": share, "best_epoch": epoch, "val_balanced_accuracy": 0.5}
    trial = row("rrl", n_epochs=10, **columns)
    scores = {f"test_{name}": 0.4 for name in SCORES}
    run = row("rrl", n_epochs=10, source=trial, **scores, **columns)
    notes = [note for note in build([trial, run]).notes if note.startswith("kept before")]
    assert bool(notes) == noted
    assert not noted or "1 of 1 runs (2 % of their steps" in notes[0]


def test_methods_on_another_encoder_have_a_table_of_their_own_that_names_it(study) -> None:
    usual = study("crt", [0.5], {0: [0.6, 0.6]})
    other = [
        {**row, "encoder": "efficientnet_lite0", "encoder_start": "pretrained"}
        | {"features": "penultimate", "tune": "frozen", "encoder_seen": "unknown"}
        for row in study("lws", [0.5], {0: [0.7, 0.7]}, n_epochs=9)
    ]
    board = build([*usual, *other])
    first, second = board.frame["task"]
    assert first == "toy · balanced · IF 100 · 32 px · 01234567"
    assert second == f"{first} · efficientnet_lite0 pretrained · penultimate features · frozen"
    assert any(note.startswith("nobody has checked") and second in note for note in board.notes)


def test_classes_without_a_test_image_are_in_no_chance_level_and_are_named(study) -> None:
    rows = study("crt", [0.3], {0: [0.5, 0.6]})
    for row in rows:
        row["test_counts"] = [4, 4, 4, 0] if row["phase"] == "confirm" else None
    board = build(rows)

    assert board.frame["chance"].tolist() == [pytest.approx(1 / 3)]
    assert any(note.startswith("no test image of class d on toy") for note in board.notes)


def test_trials_are_those_of_both_stages_and_the_star_compares_their_sum(study) -> None:
    base = [row | {"encoder_key": f"e{n}"} for n, row in enumerate(study("ce", [0.2], {0: [0.5]}))]
    stage2 = {"calibration": "crt", "encoder_key": "e0", "encoder_rank": 1}
    own = [row | stage2 for row in study("crt", [0.4, None], {0: [0.6]})]

    board = build(base + own)
    lines = {line["label"]: line for line in board.frame.to_dict("records")}

    assert trials_text(lines["crt"]) == "1 + 1/2"
    assert trials_text(lines["ce"]) == "1*"
    assert lines["crt"]["n_stage1_trials"] == 1


def test_trials_of_stage_1_are_those_that_were_offered(study) -> None:
    base = study("ce", [0.2, 0.3, 0.1, 0.2], {0: [0.5]})
    base = [row | {"encoder_key": f"e{n}"} for n, row in enumerate(base)]
    stage2 = {"calibration": "crt", "encoder_key": "e0", "encoder_rank": 1, "n_stage1_trials": 2}
    own = [row | stage2 for row in study("crt", [0.4, 0.2], {0: [0.6]})]

    lines = {line["label"]: line for line in build(base + own).frame.to_dict("records")}

    assert (trials_text(lines["crt"]), trials_text(lines["ce"])) == ("2 + 2", "4")
