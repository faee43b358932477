from math import nan

from lmd_bench.leaderboard.select import RULES, best_row


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
