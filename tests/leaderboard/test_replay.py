from dataclasses import replace

import numpy as np
import pytest

from lmd_bench.leaderboard.studies.group import group_studies
from lmd_bench.leaderboard.studies.rules import VAL_BALANCED_ACCURACY as RULE
from lmd_bench.leaderboard.uncertainty import (
    procedure_spread,
    selection_chances,
    spread_of_repeats,
)
from tests.leaderboard.conftest import TASK


def test_chances_by_hand() -> None:
    # of 2 trials drawn twice the better one is missed with 1/4
    assert selection_chances(2, 2, 2) == pytest.approx([0.75, 0.25])
    assert selection_chances(0, 3, 3) == []


def test_chances_are_those_of_drawing() -> None:
    drawn = np.random.default_rng(0).integers(5, size=(200_000, 5)).min(axis=1)

    expected = np.bincount(drawn, minlength=5)[:3] / 200_000
    assert selection_chances(3, 5, 5) == pytest.approx(expected.tolist(), abs=0.005)


def test_the_default_is_always_tried(study) -> None:
    # others .5 and .3, default .4: best of two draws is .5 with 3/4, else the default
    (found,) = group_studies(study("crt", [0.4, 0.5, 0.3], {0: [0.6], 1: [0.7]}))

    spread = procedure_spread(found, RULE)

    assert spread is not None
    assert spread.score_mean == pytest.approx(0.75 * 0.5 + 0.25 * 0.4)
    assert spread.score_sd == pytest.approx(0.1 * (0.75 * 0.25) ** 0.5)
    assert spread.test_mean == pytest.approx(0.75 * 0.7 + 0.25 * 0.6)
    assert spread.known == pytest.approx(1.0)


def test_over_splits_the_replays_of_all_of_them_count_and_not_one_by_chance(study) -> None:
    # As above, so .475 +- .043, and on the other split .875 +- .130; on test SDs of .043 and .087.
    first = study("crt", [0.4, 0.5, 0.3], {0: [0.6], 1: [0.7]})
    other = study("crt", [0.65, 0.95, 0.3], {0: [0.5], 1: [0.7]}, task=replace(TASK, split_seed=1))
    other = [row | {"task_fingerprint": f"1{row['task_fingerprint']}"} for row in other]
    splits = group_studies(first + other)

    spread = spread_of_repeats(splits, RULE)

    assert spread is not None
    assert spread.score_mean == pytest.approx((0.475 + 0.875) / 2)
    shared = (0.75 * 0.25) ** 0.5
    assert spread.score_sd == pytest.approx(shared * ((0.1**2 + 0.3**2) / 2) ** 0.5)
    assert spread.test_sd == pytest.approx(shared * ((0.1**2 + 0.2**2) / 2) ** 0.5)
    assert (spread.n_trials, spread.known) == (6, pytest.approx(1.0))
    assert spread_of_repeats(splits[::-1], RULE) == spread


def test_what_is_not_confirmed_is_counted_and_has_no_score(study) -> None:
    (found,) = group_studies(study("crt", [0.4, 0.5, 0.3], {1: [0.7, 0.8]}))

    spread = procedure_spread(found, RULE)

    assert spread is not None
    assert spread.known == pytest.approx(0.75)
    assert spread.test_mean == pytest.approx(0.75)  # the mean of its seeds, by chance also .75
    assert np.isnan(spread.test_sd)  # one known configuration shows no spread
    assert "75 % of what would be selected is confirmed" in spread.over


def test_failed_trials_are_drawn_too(study) -> None:
    # the default failed; others .5 and failed: .5 is drawn with 3/4, else nothing is selected
    (found,) = group_studies(study("crt", [None, 0.5, None], {1: [0.7]}))

    spread = procedure_spread(found, RULE)

    assert spread is not None
    assert spread.n_trials == 3
    assert spread.score_mean == pytest.approx(0.5)
    assert spread.known == pytest.approx(1.0)


def test_a_study_of_the_default_has_no_spread_and_a_failed_one_nothing(study) -> None:
    one = procedure_spread(group_studies(study("crt", [0.4], {0: [0.6]}))[0], RULE)

    assert one is not None
    assert one.score_mean == 0.4
    assert np.isnan(one.score_sd)
    assert procedure_spread(group_studies(study("crt", [None, None]))[0], RULE) is None


def test_a_single_trial_shows_no_spread(study) -> None:
    (found,) = group_studies(study("crt", [0.4, 0.5], {1: [0.7, 0.8]}))

    spread = procedure_spread(found, RULE)

    assert spread is not None
    assert spread.score_mean == pytest.approx(0.5)
    assert np.isnan(spread.score_sd)
    assert np.isnan(spread.test_sd)


def test_a_default_that_only_rounding_lets_win_is_no_second_known_config(study) -> None:
    # Of 3 others, all better than the default, the chances add up to 1 but for a rounding error.
    rows = study("crt", [0.1, 0.5, 0.3, 0.2], {1: [0.7, 0.8], 0: [0.6, 0.6]})
    (found,) = group_studies(rows)

    assert 0 < 1 - sum(selection_chances(3, 3, 3)) < 1e-12
    spread = procedure_spread(found, RULE)

    assert spread is not None
    assert spread.test_mean == pytest.approx(0.75)
    assert np.isnan(spread.test_sd)
