"""Gains of tuning by hand, and shares of variance against scipy's and scikit-learn's."""

import numpy as np
import pytest
from scipy.stats import f_oneway
from sklearn.linear_model import LinearRegression

from lmd_bench.leaderboard.studies.group import group_studies
from lmd_bench.leaderboard.studies.rules import VAL_BALANCED_ACCURACY as RULE
from lmd_bench.leaderboard.tuning import eta_squared, explained, shares_by_chance, tuning_gain


def test_the_gain_is_paired_by_seed(study) -> None:
    (found,) = group_studies(study("crt", [0.3, 0.5], {0: [0.5, 0.6, 0.7], 1: [0.6, 0.7, None]}))

    gain = tuning_gain(found, RULE)

    assert gain is not None
    assert (gain.gain.value, gain.gain.n_seeds) == (pytest.approx(0.1), 2)
    assert np.isnan(gain.gain.seeds.low)  # both seeds gain the same: no interval of width 0
    assert np.isnan(gain.gain.interval.low)  # rows alone do not know the spread over images
    assert not gain.default_was_selected


def test_a_selected_default_gained_nothing(study) -> None:
    gain = tuning_gain(group_studies(study("crt", [0.5, 0.3], {0: [0.5, 0.6]}))[0], RULE)

    assert gain is not None
    assert gain.gain.value == 0.0
    assert gain.default_was_selected


def test_without_a_pair_there_is_no_gain(study) -> None:
    gain = tuning_gain(group_studies(study("crt", [0.3, 0.5], {1: [0.5]}))[0], RULE)

    assert gain is not None
    assert np.isnan(gain.gain.value)


def test_shares_by_hand() -> None:
    # 2 methods 0.4 apart, tuning 0.2, seeds nothing: squares 8 (.2^2) against 8 (.1^2)
    design = np.array([[[0.1, 0.1], [0.3, 0.3]], [[0.5, 0.5], [0.7, 0.7]]])

    found = eta_squared(design)

    assert found["method"] == pytest.approx(0.8)
    assert found["tuning"] == pytest.approx(0.2)
    assert found["seed"] == pytest.approx(0, abs=1e-12)
    assert found["residual"] == pytest.approx(0, abs=1e-12)


def test_shares_are_those_of_regressions_on_dummies() -> None:
    design = np.random.default_rng(0).normal(size=(5, 2, 3)) + np.arange(5)[:, None, None]

    found = eta_squared(design)

    levels = np.indices(design.shape).reshape(3, -1)
    for name, column in zip(("method", "tuning", "seed"), levels, strict=True):
        dummies = np.eye(column.max() + 1)[column]
        fit = LinearRegression().fit(dummies, design.ravel())
        assert found[name] == pytest.approx(fit.score(dummies, design.ravel()))
    statistic = f_oneway(*design.reshape(5, -1)).statistic
    share = found["method"]
    assert statistic == pytest.approx(share / (1 - share) * (30 - 5) / (5 - 1))
    assert sum(found.values()) == pytest.approx(1)


def test_noise_explains_its_degrees_of_freedom() -> None:
    generator = np.random.default_rng(0)
    found = [eta_squared(generator.normal(size=(4, 2, 3))) for _ in range(4000)]

    for name, share in shares_by_chance((4, 2, 3)).items():
        assert np.mean([one[name] for one in found]) == pytest.approx(share, abs=0.01)


def test_equal_scores_have_no_variance_to_explain() -> None:
    assert all(np.isnan(share) for share in eta_squared(np.full((2, 2, 2), 0.5)).values())


def test_methods_without_both_configurations_are_left_out_and_named(study) -> None:
    rows = study("a", [0.3, 0.5], {0: [0.1, 0.2], 1: [0.3, 0.4]})
    rows += study("b", [0.5, 0.3], {0: [0.5, 0.7]})  # its default was selected
    rows += study("c", [0.3, 0.5], {1: [0.5, 0.7]}) + study("helper", [0.3])

    found = explained(group_studies(rows), RULE)

    assert found is not None
    assert found.labels == ("a", "b")
    assert found.left_out == ("c",)
    expected = eta_squared(np.array([[[0.1, 0.2], [0.3, 0.4]], [[0.5, 0.7], [0.5, 0.7]]]))
    assert found.eta_squared == pytest.approx(expected)


def test_one_seed_explains_nothing(study) -> None:
    rows = study("a", [0.3], {0: [0.1]}) + study("b", [0.3], {0: [0.2]})

    assert explained(group_studies(rows), RULE) is None
