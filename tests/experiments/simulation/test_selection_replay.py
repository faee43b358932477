import math

import pytest
from pandas.testing import assert_frame_equal

from lmd_bench.core.errors import UserError
from lmd_bench.experiments.simulation.selection import selection
from lmd_bench.store.store import open_store
from tests.report.conftest import make_trial

# val of the search, then val and test of each retraining
DEFAULT = (0.4, [(0.50, 0.60), (0.52, 0.61), (0.51, 0.62)])
LUCKY = (0.9, [(0.41, 0.50), (0.42, 0.52), (0.40, 0.51)])
BETTER = (0.8, [(0.70, 0.80), (0.71, 0.79), (0.72, 0.81)])


@pytest.fixture
def folder(tmp_path):
    """Return a maker of a results folder with one study of such configurations."""

    def make(*configs):
        store = open_store(tmp_path, create=True)
        for number, (val, runs) in enumerate(configs):
            source = make_trial("crt", number, val)
            store.write(source)
            for seed, (on_val, on_test) in enumerate(runs, start=1):
                run = make_trial("crt", seed, on_val, source=source)
                run |= {"is_default": number == 0, "test_balanced_accuracy": on_test}
                store.write(run)
        return tmp_path

    return make


def only_line(answer):
    (line,) = answer.frame.to_dict("records")
    return line


def test_a_lucky_val_score_loses_the_race_to_the_default(folder):
    line = only_line(selection(folder(DEFAULT, LUCKY), rounds=2, repeats=10))
    assert (line["configs"], line["seeds"], line["rounds"]) == (2, 3, 2)
    assert line["runs"] == 4.0
    assert line["race"] == pytest.approx(line["default"])
    assert line["best_val"] == pytest.approx(0.51, abs=0.01)
    assert (line["best_val_worse"], line["race_worse"]) == (1.0, 0.0)


def test_a_race_is_judged_by_the_seeds_it_did_not_use(folder):
    answer = selection(folder(DEFAULT, LUCKY, BETTER), rounds=9, repeats=10)
    line = only_line(answer)
    assert line["rounds"] == 2  # of three seeds, one is left
    assert line["race"] == pytest.approx(0.8, abs=0.01)
    assert line["best_val"] == pytest.approx(0.51, abs=0.01)
    assert "Over 1 studies" in answer.render()


def test_only_the_first_of_val_and_the_default_race(folder):
    line = only_line(selection(folder(DEFAULT, LUCKY, BETTER), top=1, rounds=2, repeats=3))
    assert line["configs"] == 2
    assert line["race"] == pytest.approx(line["default"])


def test_equal_seeds_give_equal_replays(folder):
    root = folder(DEFAULT, LUCKY, BETTER)
    assert_frame_equal(selection(root, seed=3).frame, selection(root, seed=3).frame)


def test_without_retrained_configurations_there_is_nothing_to_replay(folder):
    with pytest.raises(UserError, match="lmd-bench confirm KEY"):
        selection(folder(DEFAULT, (0.9, [])))


def test_a_search_of_fewer_trials_races_against_one_of_as_many_more(folder):
    poor = (0.3, [(0.3, 0.3), (0.3, 0.3), (0.3, 0.3)])
    root = folder(DEFAULT, BETTER, *[poor] * 8)
    answer = selection(root, trials=3, top=2, rounds=1, repeats=40)
    line = only_line(answer)
    # the default and the first two of val, one run each, so that the better one is found oftener
    assert line["configs"] == 3
    assert 2.0 <= line["runs"] <= 3.0
    assert line["default"] < line["best_val"] < line["more_trials"] < 0.8
    assert line["more_trials_worse"] == 0.0
    assert "more trials" in answer.render()


def test_where_too_few_were_retrained_more_trials_are_not_known(folder):
    line = only_line(selection(folder(DEFAULT, LUCKY, BETTER), trials=2, rounds=2, repeats=5))
    assert math.isnan(line["more_trials"])
    assert math.isnan(line["more_trials_worse"])
    assert 0.5 < line["race"] < 0.9
