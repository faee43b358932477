"""Optuna behind a study: what it is told, and what is drawn where a sampler repeats itself."""

import random

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from lmd_bench.core.seeding import derive_seed
from lmd_bench.search.proposing import proposals as module
from lmd_bench.search.proposing.proposals import N_ASKS, Proposals, Told, all_params, size

FLOATS = {"a.x": FloatDistribution(0.0, 1.0), "a.y": FloatDistribution(0.0, 1.0)}
COLOURS = {"a.colour": CategoricalDistribution(["red", "green", "blue", "black"])}


def refusing(n):
    """Return what refuses the first `n` configs that it is asked of."""
    calls = iter(range(n + 1))
    return lambda params: next(calls, n) == n


def drawn_at_random(space, seed, number, attempt):
    """Return what Optuna's random sampler draws with the seed of an attempt."""
    sampler = RandomSampler(seed=derive_seed(seed, number, "draw", attempt))
    return optuna.create_study(sampler=sampler).ask(space).params


@pytest.mark.parametrize("attempt", [0, 2])
def test_a_sampler_that_repeats_itself_is_replaced_by_a_draw_of_the_number(attempt):
    proposals = Proposals(FLOATS, 7, "random")
    params = proposals.ask(3, refusing(N_ASKS + attempt))
    assert params == drawn_at_random(FLOATS, 7, 3, attempt)
    # What was refused is closed as failed, so that no sampler learns of it.
    n_refused = N_ASKS + attempt + 1
    assert proposals.states() == [TrialState.FAIL] * n_refused + [TrialState.RUNNING]
    proposals.tell(3, Told((0.5,)))
    assert proposals.states()[-1] == TrialState.COMPLETE


@pytest.mark.parametrize(("sampler", "n"), [("random", N_ASKS), ("qmc", N_ASKS + 3)])
def test_a_sampler_is_asked_so_often_before_it_is_replaced(sampler, n):
    last = Proposals(FLOATS, 7, sampler).ask(3, refusing(n - 1))
    assert last != drawn_at_random(FLOATS, 7, 3, 0)
    assert Proposals(FLOATS, 7, sampler).ask(3, refusing(n)) == drawn_at_random(FLOATS, 7, 3, 0)


def test_what_is_left_of_a_finite_space_is_drawn_by_the_number():
    for number in range(4):
        proposals = Proposals(COLOURS, 5, "random")
        answers = iter([False] * N_ASKS)
        left = all_params(COLOURS)[1:]
        params = proposals.ask(
            number, lambda drawn, a=answers: next(a, drawn != all_params(COLOURS)[0])
        )
        assert params == random.Random(derive_seed(5, number, "draw")).choice(left)


@pytest.mark.parametrize("most", [9, 10, 11])
def test_a_space_is_listed_up_to_a_size_and_then_drawn_from(monkeypatch, most):
    monkeypatch.setattr(module, "N_LISTED", most)
    space = {"a.n": IntDistribution(1, 10)}
    params = Proposals(space, 0, "random").ask(2, refusing(N_ASKS))
    drawn = drawn_at_random(space, 0, 2, 0)
    listed = random.Random(derive_seed(0, 2, "draw")).choice(all_params(space))
    assert drawn != listed
    assert params == (listed if most >= 10 else drawn)


def test_equal_seeds_draw_alike_and_each_number_otherwise():
    def first(seed, number):
        return tuple(Proposals(FLOATS, seed, "tpe").ask(number, lambda drawn: True).values())

    assert first(0, 0) == first(0, 0)
    assert len({first(seed, number) for seed in range(3) for number in range(3)}) == 9


def test_the_size_of_a_space_and_its_configs():
    space = {
        "a.n": IntDistribution(2, 11, step=3),
        "a.fixed": FloatDistribution(0.5, 0.5),
        "a.c": CategoricalDistribution(["x", "y"]),
    }
    assert size(space) == 8
    configs = all_params(space)
    assert len(configs) == 8
    assert configs[:2] == [
        {"a.n": 2, "a.fixed": 0.5, "a.c": "x"},
        {"a.n": 2, "a.fixed": 0.5, "a.c": "y"},
    ]
    assert sorted({config["a.n"] for config in configs}) == [2, 5, 8, 11]
    assert size(space | FLOATS) is None
    assert size({"a.n": IntDistribution(3, 3)}) == 1


def test_a_trial_is_told_with_its_state_values_and_pruned_curve():
    proposals = Proposals(FLOATS, 0, "random", n_objectives=1)
    outcomes = [Told((0.25,)), Told(None), Told(None, (0.5, 0.75))]
    for number, outcome in enumerate(outcomes):
        proposals.ask(number, lambda drawn: True)
        proposals.tell(number, outcome)
    states = [TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED]
    assert proposals.states() == states
    again = Proposals(FLOATS, 0, "random", n_objectives=1)
    for outcome in outcomes:
        again.add({"a.x": 0.1, "a.y": 0.2}, outcome)
    assert again.states() == states
    for told in (proposals, again):
        trials = told._study.get_trials(deepcopy=False)
        assert [trial.values for trial in trials][:2] == [[0.25], None]
        assert [trial.intermediate_values for trial in trials] == [{}, {}, {1: 0.5, 2: 0.75}]
    assert again._study.trials[0].params == {"a.x": 0.1, "a.y": 0.2}
    assert again._study.best_trial.value == 0.25  # objectives are maximised


def test_trials_end_in_any_order_under_their_own_numbers():
    proposals = Proposals(FLOATS, 0, "random")
    params = [proposals.ask(number, lambda drawn: True) for number in (4, 9)]
    proposals.tell(9, Told((0.9,)))
    proposals.tell(4, Told((0.4,)))
    told = [(trial.params, trial.value) for trial in proposals._study.trials]
    assert told == [(params[0], 0.4), (params[1], 0.9)]


def test_params_that_are_given_count_as_proposed():
    proposals = Proposals(FLOATS, 0, "tpe")
    given = {"a.x": 0.125, "a.y": 0.25}
    assert proposals.use(0, given) == given
    proposals.tell(0, Told((0.5,)))
    assert [trial.params for trial in proposals._study.trials] == [given]


@pytest.mark.parametrize("name", ["qmc", "cmaes"])
def test_a_repeated_search_draws_on_where_it_was(name):
    whole = Proposals(FLOATS, 0, name)
    asked = []
    for number in range(8):
        params = whole.ask(number, lambda drawn: drawn not in asked)
        whole.tell(number, Told((params["a.x"],)))
        asked.append(params)
    again = Proposals(FLOATS, 0, name)
    for number, params in enumerate(asked[:6]):
        outcome = Told((params["a.x"],))
        again.repeat(number, params, outcome, lambda drawn: True, drawn=True)
    assert again.states() == [TrialState.COMPLETE] * 6
    for number in (6, 7):
        params = again.ask(number, lambda drawn: drawn not in asked[:6])
        again.tell(number, Told((params["a.x"],)))
        assert params == asked[number]


def test_what_was_asked_in_another_order_counts_with_what_it_gave():
    again = Proposals(FLOATS, 0, "qmc")
    other = {"a.x": 0.3, "a.y": 0.6}
    again.repeat(0, other, Told((0.7,)), lambda drawn: True, drawn=True)
    # The sampler is asked all the same, so that its sequence goes on; its draw came to nothing.
    assert again.states() == [TrialState.FAIL, TrialState.COMPLETE]
    assert again._study.trials[1].params == other
    given = Proposals(FLOATS, 0, "qmc")
    given.repeat(0, other, Told((0.7,)), lambda drawn: True, drawn=False)
    assert given.states() == [TrialState.COMPLETE]
    assert given._study.trials[0].params == other
