import numpy as np
import pytest

from lmd_bench.stats.monotone import monotone
from lmd_bench.stats.surface import _Parts, gains_on, over_levels, shares, unit_columns

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


def test_what_a_config_gains_is_the_difference_of_two_values_of_the_surface():
    x, levels, y = trials(40, interaction=True)
    surface = over_levels(x, levels, y, PLACES.tolist())
    gains = gains_on(x, levels, y, PLACES.tolist(), reference=3)
    assert gains.mean == pytest.approx(surface - surface[3], abs=1e-9)
    assert gains.mean[3] == pytest.approx(np.zeros(4), abs=1e-9)
    assert gains.sd[3] == pytest.approx(np.zeros(4), abs=1e-6)


def test_gains_are_known_the_better_the_nearer_a_config_is():
    x, levels, y = trials(40, interaction=False)
    gains = gains_on(x, levels, y, PLACES.tolist(), reference=0)
    apart = np.linalg.norm(x - x[0], axis=1)
    near, far = apart.argsort()[1], apart.argsort()[-1]
    assert gains.sd[near].mean() < gains.sd[far].mean()
    # The mean over levels is known better than any one of them, and not as if they were apart.
    assert (gains.sd_over_levels <= gains.sd.max(axis=1) + 1e-9).all()
    assert (gains.sd_over_levels >= gains.sd.min(axis=1) / 4).all()


def test_gains_are_in_the_unit_of_the_scores():
    x, levels, y = trials(30, interaction=False)
    one = gains_on(x, levels, y, PLACES.tolist(), reference=0)
    ten = gains_on(x, levels, (10 * np.array(y)).tolist(), PLACES.tolist(), reference=0)
    for name in ("mean", "sd", "sd_over_levels"):
        assert getattr(ten, name) == pytest.approx(10 * getattr(one, name), rel=1e-3, abs=1e-6)


def test_no_config_gains_where_all_scores_are_equal():
    gains = gains_on(
        np.random.default_rng(0).random((5, 2)), [0, 1, 2, 3, 0], [0.4] * 5, [1.0, 2.0, 3.0, 4.0], 0
    )
    assert not any(part.any() for part in (gains.mean, gains.sd, gains.sd_over_levels))
    assert (gains.mean.shape, gains.sd.shape, gains.sd_over_levels.shape) == ((5, 4), (5, 4), (5,))


def test_the_kernels_are_matern_and_gaussian():
    logs = np.log([0.5, 0.25, 2.0, 1.0, 0.3, 0.6])
    parts = _Parts(np.array([[0.0, 0.3]]), np.array([[0.0, 0.6]]))
    matern, gaussian = (1 + 5**0.5 + 5 / 3) * np.exp(-(5**0.5)), np.exp(-0.5)
    assert parts.matern(logs)[0] == pytest.approx([1.0, matern])
    assert parts.gaussian(parts.of_t, logs)[0] == pytest.approx([1.0, gaussian])
    expected = 0.5 * matern + 0.25 * matern * gaussian + 2.0 * gaussian
    assert parts.covariance(logs)[0] == pytest.approx([2.75, expected])


def test_configurations_that_are_all_alike_have_no_columns():
    assert unit_columns([{"lr": 0.1}, {"lr": 0.1}]).values.shape == (2, 0)


def test_the_unit_of_the_places_of_levels_does_not_matter():
    x, levels = np.linspace(0, 1, 12)[:, None], [0, 1, 2] * 4
    scores = (np.arange(12) / 10).tolist()
    found = over_levels(x, levels, scores, [0.0, 1.0, 2.0])
    assert over_levels(x, levels, scores, [5.0, 25.0, 45.0]) == pytest.approx(found)
