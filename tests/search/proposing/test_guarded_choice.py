"""The choice over a range of factors leaves a good default alone, and takes what is really better.

Simulated searches: 40 trials on five levels, six hyperparameters, scores fall with the factor.
"""

from math import log

import numpy as np
import pytest

from lmd_bench.search.proposing import levels
from lmd_bench.search.proposing.levels import best_over_levels, level_of, relative_scores
from lmd_bench.stats.surface import gains_on, over_levels, unit_columns

FACTORS = (20.0, 36.0, 62.0, 111.0, 200.0)
N_TRIALS, N_SEARCHES, NOISE = 40, 30, 0.02


def search(seed, effect, best):
    """Return the rows of a search, and what each configuration truly comes to.

    Args:
        seed: Of the draws.
        effect: By how much scores fall from the best configuration to the edge, about.
        best: `default`: nothing is better than it; `anywhere`: it is no better than others.
    """
    rng = np.random.default_rng(seed)
    x = rng.random((N_TRIALS, 6))
    x[: len(FACTORS)] = 0.5
    centre = np.full(6, 0.5) if best == "default" else rng.random(6)
    truth = -4 * effect * ((x - centre) ** 2 * rng.dirichlet(np.ones(6))).sum(axis=1)
    rows = []
    for number in range(N_TRIALS):
        level = level_of(number, len(FACTORS), seed)
        score = 0.6 + truth[number] - 0.025 * level + NOISE * rng.standard_normal()
        config = {f"a.k{place}": value for place, value in enumerate(x[number].tolist())}
        rows.append(
            {
                "key": str(number),
                "trial_number": number,
                "is_default": number < len(FACTORS),
                "status": "ok",
                "val_balanced_accuracy": score,
                "config": config,
                "level": level,
            }
        )
    return rows, truth


def unguarded(rows):
    """Choose as it was before: the best prediction, of scores less the default's at that level."""
    relative = relative_scores(rows, lambda row: row["level"], FACTORS)
    predicted = over_levels(
        unit_columns([row["config"] for row in rows]).values,
        [row["level"] for row in rows],
        [relative[row["key"]] for row in rows],
        [log(factor) for factor in FACTORS],
    )
    return int(predicted.mean(axis=1).argmax())


def guarded(rows):
    return best_over_levels(rows, lambda row: row["level"], FACTORS, "mean")["trial_number"]


@pytest.fixture
def gains(monkeypatch):
    """Return a function of a situation: the true gains on the default of both choices."""
    monkeypatch.setattr(levels, "config_of", lambda row: row["config"])

    def of(effect, best):
        chosen = {"before": [], "after": []}
        for seed in range(N_SEARCHES):
            rows, truth = search(seed, effect, best)
            chosen["before"].append(truth[unguarded(rows)] - truth[0])
            chosen["after"].append(truth[guarded(rows)] - truth[0])
        return {name: np.array(values) for name, values in chosen.items()}

    return of


@pytest.mark.parametrize(
    ("effect", "best", "before", "after"),
    [(0.01, "default", 0.9, 0.45), (0.01, "anywhere", 0.45, 0.25)],
)
def test_with_small_effects_the_choice_is_seldom_worse_than_the_default(
    gains, effect, best, before, after
):
    of = gains(effect, best)
    assert (of["before"] < 0).mean() >= before
    assert (of["after"] < 0).mean() <= after
    assert of["after"].mean() > of["before"].mean()


def test_with_large_effects_the_guard_costs_nothing(gains):
    of = gains(0.1, "anywhere")
    assert (of["after"] < 0).mean() <= 0.05
    assert of["after"].mean() >= 0.95 * of["before"].mean() > 0.01


def test_a_gain_is_known_the_better_the_nearer_two_configurations_are():
    x = np.array([[0.5], [0.52], [0.9], [0.5], [0.1], [0.7]])
    found = gains_on(x, [0, 0, 0, 1, 1, 1], [0.5, 0.51, 0.7, 0.4, 0.2, 0.5], [0.0, 1.0], 0)
    assert found.mean[0] == pytest.approx([0.0, 0.0])
    assert found.sd_over_levels[[0, 3]] == pytest.approx([0.0, 0.0], abs=1e-6)
    assert 0 < found.sd_over_levels[1] < found.sd_over_levels[2]
    assert (found.sd.mean(axis=1)[1:3] >= found.sd_over_levels[1:3]).all()


def test_gains_are_differences_of_the_surface():
    rng = np.random.default_rng(1)
    x, of = rng.random((12, 2)), [n % 3 for n in range(12)]
    y, places = (0.1 * rng.standard_normal(12)).tolist(), [0.0, 1.0, 2.0]
    surface = over_levels(x, of, y, places)
    assert gains_on(x, of, y, places, 4).mean == pytest.approx(surface - surface[4])


def test_scores_that_are_all_equal_gain_nothing():
    found = gains_on(np.zeros((4, 1)), [0, 1, 0, 1], [0.5] * 4, [0.0, 1.0], 0)
    assert not found.mean.any()
    assert not found.sd.any()
