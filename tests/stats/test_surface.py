import numpy as np
import pytest

from lmd_bench.stats.monotone import monotone
from lmd_bench.stats.surface import over_levels, shares, unit_columns

PLACES = np.log([10.0, 30.0, 90.0, 270.0])


def trials(n, interaction, noise=0.02, seed=0):
    """Return x, levels and scores; with an interaction the best x moves with the level."""
    rng = np.random.default_rng(seed)
    x, levels = rng.random((n, 2)), rng.integers(0, 4, n)
    t = levels / 3
    best = 0.15 + 0.7 * t if interaction else np.full(n, 0.5)
    y = -((x[:, 0] - best) ** 2) - 0.1 * t + noise * rng.standard_normal(n)
    return x, levels.tolist(), y.tolist()


def test_a_monotone_curve_goes_through_falling_points_and_between_them():
    assert monotone([1.0, 3.0], [0.8, 0.4], [1.0, 2.0, 3.0, 9.0]) == pytest.approx(
        [0.8, 0.6, 0.4, 0.4]
    )


def test_a_monotone_curve_pools_what_goes_the_wrong_way():
    # 0.5 and 0.7 break the fall, so both become their mean
    assert monotone([0.0, 1.0, 2.0, 3.0], [0.9, 0.5, 0.7, 0.1], [0.0, 1.0, 2.0, 3.0]) == (
        pytest.approx([0.9, 0.6, 0.6, 0.1])
    )


def test_a_monotone_curve_may_rise():
    assert monotone([2.0, 0.0, 1.0], [0.9, 0.1, 0.5], [0.0, 1.0, 2.0]) == pytest.approx(
        [0.1, 0.5, 0.9]
    )


def test_columns_are_ranks_and_names_are_split():
    columns = unit_columns(
        [
            {"a.lr": 0.001, "a.n": 5, "a.kind": "x", "a.same": 1},
            {"a.lr": 0.1, "a.n": 1, "a.kind": "y", "a.same": 1},
            {"a.lr": 10.0, "a.n": 5, "a.kind": "z", "a.same": 1},
        ]
    )
    assert columns.names == ("a.lr", "a.n", "a.kind", "a.kind")
    assert columns.values.tolist() == [[0, 1, 0, 0], [0.5, 0, 1, 0], [1, 1, 0, 1]]


def test_the_surface_says_what_a_config_comes_to_at_levels_it_was_not_tried_at():
    x, levels, y = trials(60, interaction=True)
    surface = over_levels(x, levels, y, PLACES.tolist())
    truth = np.array(
        [[-((a - (0.15 + 0.7 * t / 3)) ** 2) - 0.1 * t / 3 for t in range(4)] for a in x[:, 0]]
    )
    assert surface.shape == (60, 4)
    assert np.corrcoef(surface.ravel(), truth.ravel())[0, 1] > 0.9


def test_shares_of_variance_make_up_one_and_see_the_interaction():
    with_one = shares(over_levels(*trials(60, interaction=True), PLACES.tolist()))
    without = shares(over_levels(*trials(60, interaction=False), PLACES.tolist()))
    for parts in (with_one, without):
        assert parts.factor + parts.hyperparameters + parts.interaction == pytest.approx(1.0)
    assert with_one.interaction > 0.3
    assert without.interaction < 0.1


def test_scores_that_are_all_equal_have_no_shares():
    x, levels, _ = trials(10, interaction=False)
    surface = over_levels(x, levels, [0.5] * 10, PLACES.tolist())
    assert surface.tolist() == [[0.5] * 4] * 10
    assert shares(surface) is None


def test_a_surface_without_hyperparameters_knows_the_context_alone():
    surface = over_levels(
        np.zeros((8, 0)), [0, 1, 2, 3] * 2, [0.9, 0.8, 0.7, 0.6] * 2, PLACES.tolist()
    )
    assert (np.diff(surface[0]) < 0).all()
    assert surface[0] == pytest.approx(surface[7])
