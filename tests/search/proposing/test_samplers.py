"""Every sampler: it finds a peak, repeats with its seed, and goes on where a search was cut off."""

from typing import Any

import pytest
from memory_search import MemoryStore, queue_of, run_all
from optuna.distributions import CategoricalDistribution, FloatDistribution

from lmd_bench.core.errors import UserError
from lmd_bench.search.proposing import samplers
from lmd_bench.search.proposing.proposals import Proposals, Told

SPACE = {"a.x": FloatDistribution(0.0, 1.0), "a.y": FloatDistribution(0.0, 1.0)}
NAMES = sorted(samplers.SAMPLERS)


def value(params) -> float:
    return -((params["a.x"] - 0.3) ** 2) - (params["a.y"] - 0.7) ** 2


def run(name: str, n: int, seed: int = 0) -> list[dict]:
    proposals = Proposals(SPACE, seed, name)
    asked = []
    for number in range(n):
        params = proposals.ask(number, lambda drawn: drawn not in asked)
        proposals.tell(number, Told((value(params),)))
        asked.append(params)
    return asked


@pytest.mark.parametrize("name", NAMES)
def test_a_sampler_repeats_with_its_seed_and_draws_no_config_twice(name: str):
    first = run(name, 14)
    assert first == run(name, 14)
    assert first != run(name, 14, seed=1)
    assert len({tuple(params.values()) for params in first}) == 14


@pytest.mark.parametrize("name", ["tpe", "gp", "cmaes"])
def test_a_sampler_that_learns_beats_the_mean_of_its_random_start(name: str):
    values = [value(params) for params in run(name, 40)]
    assert sum(values[30:]) > sum(values[:10])


@pytest.mark.parametrize("name", ["tpe", "random", "gp", "qmc"])
def test_a_search_that_was_cut_off_draws_what_it_would_have_drawn(name: str):
    whole = run(name, 14)
    resumed = Proposals(SPACE, 0, name)
    asked = list(whole[:12])
    for params in asked:
        resumed.add(params, Told((value(params),)))
    for number in (12, 13):
        params = resumed.ask(number, lambda drawn: drawn not in asked)
        resumed.tell(number, Told((value(params),)))
        asked.append(params)
    assert asked == whole


def test_categories_can_be_drawn_by_all():
    space = {"a.c": CategoricalDistribution(["red", "green"]), **SPACE}
    for name in NAMES:
        assert Proposals(space, 0, name).ask(0, lambda drawn: True)["a.c"] in ("red", "green")


def test_a_sampler_makes_studies_of_its_own(ask):
    ids = [set(queue_of(ask("crt", sampler=name), MemoryStore()).studies) for name in NAMES]
    assert len(set.union(*ids)) == sum(map(len, ids))


def test_a_search_with_another_sampler_runs_to_its_end(ask):
    store = MemoryStore()
    queue = queue_of(ask("cross_entropy", sampler="qmc", n_trials=6), store)
    run_all(queue, store)
    assert queue.finished


def test_an_unknown_sampler_is_refused(ask):
    with pytest.raises(UserError, match="Unknown sampler 'tpee'.*Did you mean 'tpe'"):
        ask("crt", sampler="tpee")


def test_a_sampler_without_its_package_is_refused(monkeypatch):
    monkeypatch.setattr(samplers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="cmaes needs the package cmaes"):
        samplers.make_sampler("cmaes", 0)


@pytest.mark.parametrize("name", ["nsga2", "cmaes", "qmc", "tpe"])
def test_a_search_that_is_cut_off_every_ten_trials_draws_what_one_does_that_is_not(ask, name):
    request = ask("cross_entropy", n_trials=50, confirm_seeds=0, sampler=name)
    whole, cut = MemoryStore(), MemoryStore()
    run_all(queue_of(request, whole), whole)
    while len(cut.by_key) < 50:
        run_all(queue_of(request, cut), cut, most=10)
    assert cut.by_key == whole.by_key


def test_random_draws_follow_the_budget() -> None:
    assert [samplers.startup_of(n) for n in (5, 19, 20, 27, 30, 100, None)] == [
        *(5, 19, 6, 9, 10, 10),
        samplers.N_STARTUP,
    ]


def test_below_20_trials_what_was_found_moves_no_draw() -> None:
    def drawn(sign: int) -> list[Any]:
        proposals = Proposals(SPACE, 0, "tpe", 1, samplers.startup_of(15))
        found: list[Any] = []
        for number in range(15):
            params = proposals.ask(number, lambda drawn: True)
            proposals.tell(number, Told((float(sign * number),)))
            found.append(params)
        return found

    assert drawn(1) == drawn(-1)
