import pytest

from lmd_bench.core.errors import UserError
from lmd_bench.leaderboard.studies.budget import Budget, parse_budget, within
from lmd_bench.leaderboard.studies.group import StudyRows, group_studies
from lmd_bench.leaderboard.studies.rules import VAL_BALANCED_ACCURACY


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("10", Budget(10.0, "trials")),
        ("4h", Budget(4.0, "hours")),
        (".5 H", Budget(0.5, "hours")),
        ("2.5gpuh", Budget(2.5, "gpu_hours")),
        ("50wh", Budget(50.0, "watt_hours")),
        ("2 kWh", Budget(2000.0, "watt_hours")),
    ],
)
def test_a_budget_is_trials_hours_or_gpu_hours(text: str, budget: Budget) -> None:
    assert parse_budget(text) == budget


@pytest.mark.parametrize("text", ["", "0", "1.5", "-2h", "4d", "0h", "h", "1e3"])
def test_another_text_is_an_error_that_shows_what_is_allowed(text: str) -> None:
    with pytest.raises(UserError, match="is no budget; give trials like 10"):
        parse_budget(text)


def test_trials_count_in_their_order_and_failed_ones_too(study) -> None:
    (found,) = group_studies(study("crt", [None, 0.3, 0.5], {2: [0.6]})[::-1])

    part, notes = within(found, Budget(2.0, "trials"))

    assert [row["trial_number"] for row in part.trials] == [0, 1]
    assert len(part.rows) == 3  # the confirmation stays
    assert notes == []


def test_hours_are_those_a_trial_would_have_cost_alone(study) -> None:
    (found,) = group_studies(study("crt", [0.3, 0.4, 0.5]))  # 30 s each, 10 s with shared encoders

    part, _ = within(found, Budget(60 / 3600, "hours"))

    assert len(part.trials) == 2


def test_gpu_hours_are_weighted_by_the_share_of_the_gpu(study) -> None:
    rows = [row | {"gpu_share": 0.5} for row in study("crt", [0.3, 0.4, 0.5])]

    part, _ = within(group_studies(rows)[0], Budget(30 / 3600, "gpu_hours"))

    assert len(part.trials) == 2


def test_gpu_hours_of_a_search_without_a_gpu_are_an_error(study) -> None:
    (found,) = group_studies(study("crt", [0.3]))

    with pytest.raises(UserError, match="No trial of crt on toy .* used a GPU"):
        within(found, Budget(1.0, "gpu_hours"))


def test_energy_is_charged_with_the_encoders_that_a_trial_shared(study) -> None:
    # 3600 J in 10 s here, and 30 s alone: 3 Wh
    rows = [row | {"energy_joules": 3600.0} for row in study("crt", [0.3, 0.4, 0.5])]

    part, _ = within(group_studies(rows)[0], Budget(6.0, "watt_hours"))

    assert len(part.trials) == 2


def test_energy_that_one_trial_does_not_tell_is_no_budget(study) -> None:
    rows = study("crt", [0.3, 0.4])
    rows[0] |= {"energy_joules": 3600.0}

    with pytest.raises(UserError, match="Not every trial of crt on toy .* tells the energy"):
        within(group_studies(rows)[0], Budget(6.0, "watt_hours"))


def test_a_study_that_ran_less_than_the_budget_is_noted(study) -> None:
    (found,) = group_studies(study("crt", [0.3, 0.4]))

    assert within(found, Budget(2.0, "trials"))[1] == []
    (note,) = within(found, Budget(3.0, "trials"))[1]
    assert note.startswith("ran less than the budget, 2 trials: crt on toy")
    (note,) = within(found, Budget(1.0, "hours"))[1]
    assert note.startswith("ran less than the budget, 0.017 of 1 h: crt on toy")


@pytest.fixture
def raced(study, row):
    """Return a study of four trials, of which three raced; won by one trial, by its number."""

    def make(winner: int) -> StudyRows:
        rows = study("crt", [0.3, 0.5, 0.4, 0.6])
        for number, n_runs in ((0, 3), (1, 1), (3, 1)):
            val = 0.7 if number == winner else 0.55
            for seed in range(3 if number == winner else n_runs):
                place = {"number": number, "seed": 1 + seed, "source": rows[number]}
                rows.append(row("crt", **place, val_balanced_accuracy=val) | {"phase": "race"})
        return group_studies(rows)[0]

    return make


def test_a_race_that_a_later_trial_won_does_not_choose_the_default_within_a_budget(raced) -> None:
    study = raced(winner=3)
    assert study.selected(VAL_BALANCED_ACCURACY)["trial_number"] == 3

    part, notes = within(study, Budget(2.0, "trials"))

    assert part.selected(VAL_BALANCED_ACCURACY)["trial_number"] == 1
    assert {row["phase"] for row in part.rows} == {"search"}
    assert notes[0].startswith("a trial beyond the budget won its race, which does not count: crt")
    assert within(study, Budget(4.0, "trials"))[1] == []


def test_a_race_that_a_trial_within_the_budget_won_counts_without_the_later_ones(raced) -> None:
    part, notes = within(raced(winner=0), Budget(2.0, "trials"))

    assert part.selected(VAL_BALANCED_ACCURACY)["trial_number"] == 0
    runs = [row["source_key"] for row in part.rows if row["phase"] == "race"]
    assert set(runs) == {row["key"] for row in part.trials}
    assert notes == []


def staged(study) -> list:
    """Return two trials of cross-entropy, and two of cRT that stand on the second's encoder."""
    base = [row | {"encoder_key": f"e{n}"} for n, row in enumerate(study("ce", [0.2, 0.3]))]
    own = study("crt", [0.4, 0.5], {1: [0.6]})
    stage2 = {"calibration": "crt", "encoder_key": "e1", "encoder_rank": 1}
    return base + [row | stage2 for row in own]


def test_a_method_of_two_stages_pays_for_the_search_of_its_stage_1_first(study) -> None:
    _, crt = group_studies(staged(study))

    kept = [len(within(crt, Budget(n, "trials"))[0].trials) for n in (1.0, 2.0, 3.0, 4.0)]

    assert kept == [0, 0, 1, 2]
    assert within(crt, Budget(5.0, "trials"))[1][0].startswith(
        "ran less than the budget, 2 + 2 trials: crt on toy"
    )


def test_hours_hold_the_search_of_stage_1_once(study) -> None:
    _, crt = group_studies(staged(study))

    # 2 x 30 s of stage 1, and 10 s for each trial on an encoder that is there
    assert len(within(crt, Budget(69 / 3600, "hours"))[0].trials) == 0
    assert len(within(crt, Budget(80 / 3600, "hours"))[0].trials) == 2


def test_a_joint_search_stands_on_no_other_though_it_has_an_encoder_of_one(study) -> None:
    rows = [row | {"encoder_rank": None} for row in staged(study)]

    assert group_studies(rows)[1].stage1_trials == ()
