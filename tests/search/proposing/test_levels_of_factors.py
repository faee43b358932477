"""Levels of factors: which one a trial draws, the curve of the default, and the best over all."""

from collections import Counter

import numpy as np
import pytest

from lmd_bench.search.proposing import levels
from lmd_bench.search.proposing.levels import (
    Baseline,
    best_over_levels,
    fit_baseline,
    level_of,
    relative_scores,
)

FACTORS = (10.0, 100.0, 1000.0)


def row(number, score, level=None, *, is_default=False, status="ok", **config):
    """Return a search row; its level is its number where none is given."""
    return {
        "key": f"k{number}",
        "trial_number": number,
        "is_default": is_default,
        "status": status,
        "val_balanced_accuracy": score,
        "level": number if level is None else level,
        "config": config or {"a.x": 0.5},
    }


def level(row):
    return row["level"]


def test_each_block_of_trials_visits_each_level_once_in_an_order_of_its_own() -> None:
    drawn = [level_of(number, 5, seed=0) for number in range(50)]
    blocks = [tuple(drawn[first : first + 5]) for first in range(0, 50, 5)]
    assert blocks[0] == (0, 1, 2, 3, 4)
    assert {frozenset(block) for block in blocks} == {frozenset(range(5))}
    assert len(set(blocks)) > 5
    assert blocks[1:] != [
        tuple(level_of(number, 5, seed=1) for number in range(first, first + 5))
        for first in range(5, 50, 5)
    ]


def test_the_levels_of_trials_are_those_of_earlier_versions() -> None:
    """A search that goes on draws for its trials what it drew before."""
    drawn = [level_of(number, 5, seed=0) for number in range(5, 20)]
    assert drawn == [4, 1, 3, 0, 2, 2, 3, 0, 4, 1, 2, 4, 0, 1, 3]


def test_a_baseline_goes_through_defaults_that_fall_and_is_linear_in_the_log_between() -> None:
    baseline = Baseline({0: (0.8, 10.0), 2: (0.4, 30.0)}, FACTORS, 2)
    assert baseline.relative((0.8, 10.0), 0) == pytest.approx((0.0, 0.0))
    assert baseline.relative((0.7, 25.0), 1) == pytest.approx((0.1, 5.0))
    assert baseline.relative((0.4, 20.0), 2) == pytest.approx((0.0, -10.0))


def test_a_baseline_of_one_level_is_the_same_at_all_and_without_any_it_is_nothing() -> None:
    alone = Baseline({1: (0.5,)}, FACTORS, 1)
    assert [alone.relative((0.6,), of) for of in range(3)] == [pytest.approx((0.1,))] * 3
    nothing = Baseline({}, FACTORS, 2)
    assert [nothing.relative((0.6, 3.0), of) for of in range(3)] == [(0.6, 3.0)] * 3


def test_a_baseline_is_made_of_the_defaults_that_ended_well_alone() -> None:
    rows = [
        row(0, 0.8, is_default=True),
        row(1, None, is_default=True, status="oom"),
        row(2, 0.4, is_default=True),
        row(3, 0.99, 1),
    ]

    def values(row):
        return None if row["val_balanced_accuracy"] is None else (row["val_balanced_accuracy"],)

    baseline = fit_baseline(rows, level, FACTORS, values, 1)
    assert baseline.relative((0.7,), 1) == pytest.approx((0.1,))


def test_scores_relative_to_the_default_are_of_the_rows_that_have_one() -> None:
    rows = [
        *(row(n, score, is_default=True) for n, score in enumerate((0.8, 0.6, 0.4))),
        row(3, 0.9, 0),
        row(4, 0.5, 2),
        row(5, None, 1, status="diverged"),
    ]
    found = relative_scores(rows, level, FACTORS)
    assert found == pytest.approx({"k0": 0, "k1": 0, "k2": 0, "k3": 0.1, "k4": 0.1}, abs=1e-9)
    doubled = relative_scores(
        rows, level, FACTORS, lambda row: None if row["key"] == "k5" else row["level"] * 1.0
    )
    # The default's own scores then rise with the level, and the curve with them.
    assert doubled == pytest.approx(dict.fromkeys(("k0", "k1", "k2", "k3", "k4"), 0), abs=1e-9)


@pytest.fixture
def of_rows(monkeypatch):
    monkeypatch.setattr(levels, "config_of", lambda row: row["config"])

    def best(rows, robust="mean"):
        found = best_over_levels(rows, level, FACTORS, robust)
        return None if found is None else found["trial_number"]

    return best


def searched(gain, n=21, *, defaults=True, seed=0):
    """Return rows whose score falls with the level, and rises by `gain(x, level)`."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(n):
        of = level_of(number, 3, seed)
        default = number < 3
        x = 0.5 if default else float(rng.random())
        score = 0.7 - 0.1 * of + gain(x, of)
        failed = default and not defaults
        rows.append(
            row(
                number,
                None if failed else score,
                of,
                is_default=default,
                status="oom" if failed else "ok",
                **{"a.x": x},
            )
        )
    return rows


@pytest.mark.parametrize("robust", ["mean", "worst"])
@pytest.mark.parametrize("defaults", [True, False])
def test_the_configuration_that_is_better_everywhere_is_chosen(of_rows, robust, defaults) -> None:
    rows = searched(lambda x, of: 0.2 * x, defaults=defaults)
    best = of_rows(rows[::-1], robust)  # in whatever order they ended
    xs = sorted((r["config"]["a.x"] for r in rows), reverse=True)
    assert rows[best]["config"]["a.x"] in xs[:3]


@pytest.mark.parametrize("defaults", [True, False])
def test_mean_and_worst_part_where_a_gain_is_at_one_level_alone(of_rows, defaults) -> None:
    # Much better at the lowest level, somewhat worse at the others.
    rows = searched(lambda x, of: (0.5 if of == 0 else -0.12) * x, n=30, defaults=defaults)
    x = {robust: rows[of_rows(rows, robust)]["config"]["a.x"] for robust in ("mean", "worst")}
    assert x["mean"] > 0.8
    # What is gained there and what is lost elsewhere, both less the usual, meet in the middle.
    assert 0.3 < x["worst"] < 0.7


def test_where_nothing_is_better_the_default_of_the_first_level_is_chosen(of_rows) -> None:
    rows = searched(lambda x, of: -0.3 * x)
    for other in rows[3:]:
        other["config"]["a.x"] = 0.6 + 0.4 * other["config"]["a.x"]
        other["val_balanced_accuracy"] -= 0.2
    assert of_rows(rows) == of_rows(rows, "worst") == 0
    assert of_rows(rows[:3]) == 0
    # Where it failed there, it is the next of its trials that ended well.
    rows[0] |= {"status": "oom", "val_balanced_accuracy": None}
    assert of_rows(rows) == 1


def test_without_a_trial_that_ended_well_there_is_no_best(of_rows) -> None:
    assert of_rows([]) is None
    assert of_rows([row(n, None, status="oom") for n in range(3)]) is None


def test_scores_are_taken_less_what_is_usual_at_their_level() -> None:
    rows = [row(0, 0.9, 0), row(1, 0.7, 0), row(2, 0.5, 2), row(3, 0.65, 1)]
    found = levels._less_the_usual(rows, [0, 0, 2, 1], FACTORS)
    assert found == pytest.approx([0.1, -0.1, 0.0, 0.0])


def test_levels_of_many_trials_are_even() -> None:
    assert Counter(level_of(number, 7, seed=4) for number in range(70)) == dict.fromkeys(
        range(7), 10
    )
