"""Replays whose answers follow from order statistics, or from a clock that one can read."""

from dataclasses import replace
from math import comb

import numpy as np
import pytest

from lmd_bench.experiments.simulation import proposing
from lmd_bench.experiments.simulation.proposing import Drawn, make_proposer
from lmd_bench.experiments.simulation.replay import Setting, ended_early, replay
from lmd_bench.experiments.simulation.simulate import alike_notes
from lmd_bench.experiments.simulation.tuners import Replays, mean_interval, replays, tuner_frame
from lmd_bench.search.proposing.proposals import Proposals, Told
from lmd_bench.search.proposing.pruning import NONE
from lmd_bench.search.proposing.samplers import startup_of

VALUES = [0.31, 0.52, 0.44, 0.28, 0.61, 0.37, 0.49, 0.33, 0.57, 0.40]
SAMPLERS = ("random", "tpe", "qmc", "cmaes", "nsga2")


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_full_budget_finds_the_best_of_the_table_with_any_sampler(table, sampler):
    found = replay(table(VALUES), Setting(sampler), seed=3)
    assert found.best == 0.61
    assert sorted(one.trial.number for one in found.ran) == list(range(10))
    assert found.seconds == 1000.0


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_an_equal_seed_gives_an_equal_replay_and_another_seed_another(table, sampler):
    setting = Setting(sampler, n_trials=6, n_workers=2)
    orders = [
        [one.trial.number for one in replay(table(VALUES), setting, seed).ran]
        for seed in (5, 5, 6, 7, 8)
    ]
    assert orders[0] == orders[1]
    assert len({tuple(order) for order in orders}) > 1


def test_random_search_finds_what_order_statistics_say(table):
    n, budget, repeats = 10, 4, 500
    runs = replays(table(VALUES, default=None), Setting("random", n_trials=budget), repeats, 0)
    # the r-th smallest is the best of 4 in C(r - 1, 3) of the C(10, 4) draws
    chances = [comb(r - 1, budget - 1) / comb(n, budget) for r in range(1, n + 1)]
    expected = float(np.dot(sorted(VALUES), chances))
    spread = float(np.sqrt(np.dot(np.array(sorted(VALUES)) ** 2, chances) - expected**2))
    mean = np.mean([run.best for run in runs])
    assert mean == pytest.approx(expected, abs=4 * spread / np.sqrt(repeats))


def test_the_default_comes_first_as_in_a_search(table):
    for seed in range(5):
        runs = replay(table(VALUES, default=3), Setting("random", n_trials=2), seed).ran
        assert runs[0].trial.number == 3


def test_workers_share_the_clock_and_hours_end_it(table):
    by_hand = table(VALUES, seconds=[100.0, *[300.0] * 9])
    two = replay(by_hand, Setting("random", n_trials=3, n_workers=2), 0)
    # 0-100 and 100-400 on one worker, 0-300 on the other
    assert [(one.started, one.ended) for one in two.ran] == [(0, 100), (0, 300), (100, 400)]
    hours = replay(by_hand, Setting("random", hours=700 / 3600), 0)
    # the last one starts at 400, and runs on to 700
    assert [one.started for one in hours.ran] == [0, 100, 400]
    assert not hours.exhausted
    assert replay(by_hand, Setting("random", n_trials=11), 0).exhausted


def test_a_failed_trial_costs_its_time_and_finds_nothing(table):
    found = replay(table([None, 0.5, 0.4, 0.3], default=0), Setting("random", n_trials=1), 0)
    assert found.selected is None
    assert np.isnan(found.best)
    assert found.seconds == 100.0


def test_a_proposal_is_answered_by_the_nearest_trial_that_is_left(table):
    proposer = make_proposer(table(VALUES), "qmc", 0)
    first, distance = proposer.propose(0, np.arange(10))
    second, further = proposer.propose(1, np.array([first]))
    assert distance <= 0.1  # trials lie at 0, 0.1, ... 0.9 and draws in [0, 1]
    assert second == first
    assert further >= 0


@pytest.mark.parametrize("sampler", ["tpe", "qmc"])
def test_what_is_drawn_is_what_the_search_would_draw(table, sampler):
    many = table([0.5 - abs(n / 30 - 0.4) for n in range(30)])
    space, params = many.space, [many.params(trial) for trial in many.trials]
    proposals, drawn = Proposals(space, 9, sampler), Drawn(many, sampler, 9)
    places = np.random.default_rng(1).permutation(30)[:25].tolist()
    for number, place in enumerate(places):
        outcome = Told((many.trials[place].value,))
        proposals.add(params[place], outcome)
        drawn.start(number, place, outcome)
        drawn.finish(number, outcome)
    expected = proposals.ask(25, lambda params: True)
    assert drawn._draw(drawn._sampler_of(25, 0)) == expected


def test_a_trial_ends_where_its_best_so_far_is_below_the_threshold():
    curve = (0.2, 0.5, 0.3, 0.4)
    assert ended_early(curve, ((1, 0.1), (3, 0.45))) is None  # 0.5 is its best by then
    assert ended_early(curve, ((1, 0.1), (3, 0.55))) == 3
    assert ended_early(curve, ((2, 0.5),)) is None  # equal goes on
    assert ended_early(curve, ((9, 0.9),)) is None
    assert ended_early(curve, ((3, 0.45), (4, 0.45)), first=3) == 3  # 0.5 is from before
    assert ended_early(curve, ((4, 0.4),), first=3) is None


def test_a_pruned_trial_costs_the_epochs_that_it_had(table):
    curves = [[0.5] * 10] * 4 + [[0.1] * 10] * 6
    by_hand = table(VALUES, curves=curves, default=0)
    found = replay(by_hand, Setting("random", "median"), 2)
    pruned = [one for one in found.ran if one.pruned]
    assert pruned
    for one in pruned:
        assert one.ended - one.started == pytest.approx(100 * len(one.curve) / 10)
        assert one.outcome.values is None
    waiting = replay(by_hand, Setting("random", "median", grace_period=7), 2)
    assert min(len(one.curve) for one in waiting.ran if one.pruned) == 7
    staged = replace(by_hand, staged=True)
    assert not replay(staged, Setting("random", "median"), 2).n_pruned  # it trains no stage 1


def test_a_line_holds_means_regret_and_what_is_unknown_of_test(table):
    by_hand = table(VALUES)
    known = tuple(
        replace(t, test=0.7, n_confirmed=2) if t.number == 4 else t for t in by_hand.trials
    )
    asked = Replays(("random",), (NONE,), Setting(), repeats=40)
    line = tuner_frame([replace(by_hand, trials=known)], asked).iloc[0]
    assert line["trials"] == 5  # half of the table
    assert line["regret"] == pytest.approx(0.61 - line["best_val"])
    assert line["best_val_low"] < line["best_val"] < line["best_val_high"]
    assert line["test"] == pytest.approx(0.7)
    assert line["test_unknown"] == 40 - round(40 * line["found_best"])
    assert line["hours"] == pytest.approx(500 / 3600)


def test_the_interval_is_students_of_the_mean():
    # 1, 2, 3: mean 2, SD 1, t of 2 degrees 4.303
    mean, low, high = mean_interval([1.0, 2.0, 3.0])
    assert (mean, low, high) == pytest.approx(
        (2, 2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), rel=1e-4
    )
    assert np.isnan(mean_interval([1.0])[1])


def test_samplers_that_are_one_and_the_same_are_shown_once(table):
    short = table([0.1, 0.3, 0.2, 0.5, 0.4, 0.6], study="short")
    long = table([number / 50 for number in range(50)], study="long")
    asked = Replays(("random", "tpe", "nsga2", "qmc"), ("none",), Setting(), repeats=2)

    # Half of 6 trials: one generation, no model. Half of 50: a model after 8.
    assert asked.samplers_of(short) == ("random", "qmc")
    assert asked.samplers_of(long) == ("random", "tpe", "nsga2", "qmc")
    assert set(tuner_frame([short], asked)["sampler"]) == {"random", "qmc"}
    (note,) = alike_notes([short, long], asked)
    assert note.startswith("tpe, nsga2 not shown")
    assert note.endswith("m on t")


@pytest.mark.parametrize(("n_trials", "startup"), [(10, 10), (24, 8), (60, 10)])
def test_a_replay_draws_as_many_trials_at_random_as_a_search_of_its_length(
    table, monkeypatch, n_trials, startup
):
    asked: list[int] = []
    made = proposing.make_sampler

    def noted(name: str, seed: int, n_startup: int):
        asked.append(n_startup)
        return made(name, seed, n_startup)

    monkeypatch.setattr(proposing, "make_sampler", noted)
    values = [number / 60 for number in range(60)]
    replay(table(values), Setting("tpe", n_trials=n_trials), 0)

    assert set(asked) == {startup} == {startup_of(n_trials)}
