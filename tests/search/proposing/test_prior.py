"""--prior: a good default is refined sooner, a bad one is left; such draws become fewer."""

import random
from collections import Counter

import numpy as np
import pytest
from memory_search import MemoryStore, assert_goes_on, queue_of, run_all
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from lmd_bench.core.errors import UserError
from lmd_bench.methods.space import place_of, value_at
from lmd_bench.search.proposing.prior import chance_of_prior, near
from lmd_bench.search.proposing.proposals import Proposals, Told

SPACE = {
    "a": FloatDistribution(1e-4, 1.0, log=True),
    "b": FloatDistribution(0.0, 1.0),
    "c": IntDistribution(2, 512, log=True),
    "d": CategoricalDistribution(["one", "two"]),
}


def test_a_place_and_a_value_are_each_other():
    for key, within in list(SPACE.items())[:3]:
        for place in (0.0, 0.25, 1.0):
            value = value_at(within, place)
            assert place_of(within, value) == pytest.approx(place, abs=0.1 if key == "c" else 1e-9)


def test_draws_lie_around_the_default_and_in_the_range():
    default, draw = {"a": 0.01, "b": 0.0, "d": "two"}, random.Random(0)
    drawn = [near(SPACE, default, draw) for _ in range(2000)]
    logs = np.log10([config["a"] for config in drawn])
    # A normal of a quarter of four decades, cut off two of its widths from the centre.
    assert np.mean(logs) == pytest.approx(-2, abs=0.1)
    assert np.std(logs) == pytest.approx(0.88, abs=0.05)
    assert np.mean([config["b"] for config in drawn]) == pytest.approx(0.2, abs=0.02)
    assert Counter(config["d"] for config in drawn)["two"] / 2000 == pytest.approx(0.75, abs=0.03)
    # Without a default it is drawn evenly.
    places = [place_of(SPACE["c"], config["c"]) for config in drawn]
    assert np.mean(places) == pytest.approx(0.5, abs=0.03)
    assert np.std(places) == pytest.approx(np.sqrt(1 / 12), abs=0.03)


def test_the_share_of_such_draws_falls():
    assert [chance_of_prior(n, 40) for n in (1, 4, 8, 40)] == [1.0, 1.0, 0.5, 0.1]
    assert [chance_of_prior(n, 8) for n in (1, 2, 4)] == [1.0, 0.5, 0.25]
    assert chance_of_prior(4, None) == 0.5


def _best(default: dict, n_trials: int, seed: int, *, prior: bool) -> list[float]:
    """Return the best so far of a search whose optimum lies at a = 0.01, b = 0.5."""
    space = {key: SPACE[key] for key in ("a", "b")}
    proposals, draw = Proposals(space, seed, "random"), random.Random(seed)

    def score(config: dict) -> float:
        return -((place_of(space["a"], config["a"]) - 0.5) ** 2) - (config["b"] - 0.5) ** 2

    scores = [score(proposals.use(0, default))]
    proposals.tell(0, Told((scores[0],)))
    for number in range(1, n_trials):
        is_near = prior and draw.random() < chance_of_prior(number, n_trials)
        params = near(space, default, draw) if is_near else None
        params = proposals.use(number, params) if params else proposals.ask(number, lambda _: True)
        scores.append(score(params))
        proposals.tell(number, Told((scores[-1],)))
    return list(np.maximum.accumulate(scores))


def test_a_good_default_is_refined_sooner_and_a_bad_one_is_left():
    def regret(default: dict, *, prior: bool) -> np.ndarray:
        runs = [_best(default, 40, seed, prior=prior) for seed in range(25)]
        return -np.mean(runs, axis=0)

    good, bad = {"a": 0.02, "b": 0.6}, {"a": 1e-4, "b": 0.0}
    assert regret(good, prior=True)[8] < 0.8 * regret(good, prior=False)[8]
    # The corner is 0.5 from the optimum; a fifth of the budget goes there, and no more is lost.
    assert regret(bad, prior=True)[-1] < 1.6 * regret(bad, prior=False)[-1] < 0.03


def test_rows_say_which_trials_were_drawn_near_the_default_and_a_search_goes_on(ask):
    store = MemoryStore()
    request = ask("crt", n_trials=12, prior=True, sampler="random", confirm_seeds=0)
    run_all(queue_of(request, store), store)
    by = Counter(row["proposed_by"] for row in store.rows() if row["method"] == "crt")
    assert by["default"] == 1
    assert by["prior"] >= 2 <= by["sampler"]
    assert all(row["study"].endswith("-prior") for row in store.rows())
    assert_goes_on(request, 7)


def test_a_sampler_that_goes_by_its_own_trials_alone_refuses_it(ask):
    with pytest.raises(UserError, match="choose from gp, random, tpe"):
        ask("crt", prior=True, sampler="cmaes")
