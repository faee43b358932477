from math import nan

import numpy as np
import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.leaderboard.studies.rules import RULES, best_row, rule_named, score
from lmd_bench.stats.proportions import mean_lower_bound
from lmd_bench.store.from_logits import VAL_COUNTS, with_val_counts
from lmd_bench.store.store import open_store


def test_highest_val_balanced_accuracy_is_selected(study) -> None:
    best = best_row(study("crt", [0.3, 0.5, 0.4]))

    assert best is not None
    assert best["trial_number"] == 1


def test_of_equal_scores_the_earliest_trial_is_selected_in_any_order(study) -> None:
    rows = study("crt", [0.3, 0.5, 0.5])

    for order in (rows, rows[::-1]):
        best = best_row(order)
        assert best is not None
        assert best["trial_number"] == 1


def test_failed_undefined_and_confirmation_rows_are_never_selected(study, row) -> None:
    rows = study("crt", [0.3, None])
    rows.append(row("crt", number=2, val_balanced_accuracy=nan))
    rows.append(row("crt", source=rows[0], seed=1, val_balanced_accuracy=0.9))

    best = best_row(rows)

    assert best is not None
    assert best["key"] == rows[0]["key"]


def test_a_study_whose_trials_all_failed_has_no_selected_row(study) -> None:
    assert best_row(study("crt", [None, None])) is None


def test_test_scores_do_not_change_what_is_selected(study) -> None:
    rows = study("crt", [0.3, 0.5])
    rows[0]["test_balanced_accuracy"] = 1.0

    best = best_row(rows)

    assert best is not None
    assert best["trial_number"] == 1


def test_each_rule_is_found_by_its_own_name() -> None:
    assert all(rule.name == name for name, rule in RULES.items())
    assert "val_balanced_accuracy" in RULES


def test_an_unknown_rule_is_an_error_that_lists_them() -> None:
    with pytest.raises(UserError, match="Unknown rule 'val_f1'; choose from last_epoch"):
        rule_named("val_f1")


def test_only_the_oracle_looks_at_test_and_it_is_watermarked(study) -> None:
    rows = study("crt", [0.5, 0.3, 0.9], {0: [0.4, 0.6], 1: [0.7]})

    best = best_row(rows, RULES["oracle_test"])

    assert best is not None
    assert best["trial_number"] == 1  # .7 against a mean of .5; 2 is not confirmed
    assert [rule.name for rule in RULES.values() if rule.watermark] == ["oracle_test"]


def test_macro_f1_and_worst_class_read_their_columns(row) -> None:
    trial = row("crt", val_macro_f1=0.4, val_recall=[0.9, nan, 0.2, 0.5])

    assert score(trial, RULES["val_macro_f1"]) == 0.4
    assert score(trial, RULES["val_worst_class"]) == 0.2
    assert score(row("crt", val_recall=[nan, nan]), RULES["val_worst_class"]) is None


def test_a_failed_trial_has_no_score(row) -> None:
    failed = row("crt", status="oom", val_macro_f1=0.9)

    assert score(failed, RULES["val_macro_f1"]) is None


def test_the_lower_bound_needs_the_val_images_of_each_class(row) -> None:
    trial = row("crt", val_recall=[0.8, 0.5, nan, 1.0])
    rule = RULES["val_lower_confidence"]

    with pytest.raises(UserError, match="hold neither them nor logits of toy"):
        score(trial, rule)

    counts = [50, 20, 0, 2]
    expected = mean_lower_bound(np.array([0.8, 0.5, nan, 1.0]), np.array(counts))
    assert score(trial | {VAL_COUNTS: counts}, rule) == pytest.approx(expected)


def test_a_lucky_tail_does_not_win_by_the_lower_bound(row) -> None:
    counts = [50, 50, 50, 2]
    lucky = row("crt", number=0, val_balanced_accuracy=0.70, val_recall=[0.6, 0.6, 0.6, 1.0])
    sound = row("crt", number=1, val_balanced_accuracy=0.68, val_recall=[0.9, 0.9, 0.92, 0.0])
    rows = [trial | {VAL_COUNTS: counts} for trial in (lucky, sound)]

    assert best_row(rows)["trial_number"] == 0
    assert best_row(rows, RULES["val_lower_confidence"])["trial_number"] == 1


def _points(stage: str, values: list[float]) -> list[dict]:
    return [
        {"stage": stage, "epoch": epoch, "loss": 1.0, "val_balanced_accuracy": value}
        for epoch, value in enumerate(values, start=1)
    ]


def test_the_last_epoch_is_that_of_the_last_stage(row) -> None:
    rule = RULES["last_epoch"]
    stage1 = _points("representation", [0.2, 0.6, 0.5])
    own_head = row("ce", val_balanced_accuracy=0.6, curve=stage1)
    assert score(own_head, rule) == 0.5

    both = stage1 + _points("calibration", [0.7, 0.65])
    assert score(own_head | {"calibration": "crt", "curve": both}, rule) == 0.65
    # solved in closed form: what it was judged by is its only state
    assert score(own_head | {"calibration": "lda"}, rule) == 0.6


def test_val_images_are_counted_in_the_logits_of_one_trial_of_the_task(tmp_path, study) -> None:
    store = open_store(tmp_path, create=True)
    rows = study("crt", [0.3, 0.5])
    labels = (0, 0, 0, 1, 3)
    store.write(rows[0])  # whose logits were not kept
    store.write(rows[1], [(str(i), "val", y, [0.0] * 4) for i, y in enumerate(labels)])

    counted = with_val_counts(store, store.rows())

    assert [row[VAL_COUNTS] for row in counted] == [[3, 1, 0, 1]] * 2


@pytest.mark.parametrize("name", RULES)
def test_a_rule_reads_no_column_but_those_it_names(name: str, row) -> None:
    rule = RULES[name]
    trial = row("crt", val_balanced_accuracy=0.5, val_macro_f1=0.4, val_recall=[0.5] * 4)
    run = row("crt", source=trial, seed=1, test_balanced_accuracy=0.6)
    base = {"status", "phase", "key", "source_key", "trial_number"}
    seen = [{k: v for k, v in one.items() if k in base | {*rule.columns}} for one in (trial, run)]

    best = best_row([seen[0] | {VAL_COUNTS: [9, 9, 9, 9]}, seen[1]], rule)

    assert best is not None
    assert best["key"] == trial["key"]
