from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from memory_search import MemoryStore, assert_goes_on, queue_of, run_all

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import JUDGED_ON_TEST
from lmd_bench.leaderboard.studies.rules import best_row, race_winner
from lmd_bench.search import sources
from lmd_bench.search.plan import plan
from lmd_bench.search.racing import behind_on_val
from lmd_bench.store.store import open_store
from tests.report.conftest import LABELS, make_trial


def of_phase(rows, phase):
    return [row for row in rows if row["phase"] == phase]


def searched(store):
    return sorted(of_phase(store.rows(), "search"), key=lambda r: -r["val_balanced_accuracy"])


def raced(ask, store, **fields):
    request = ask("cross_entropy", **({"n_trials": 6, "select_top": 2} | fields))
    run_all(queue_of(request, store), store)
    return request


@pytest.fixture
def behind(monkeypatch):
    """Let everything but the leader fall behind in the first round it is compared."""
    monkeypatch.setattr(sources, "behind_on_val", lambda store: lambda leader, other: True)


def test_without_being_asked_nothing_races(ask):
    store = MemoryStore()
    raced(ask, store, select_top=1)
    assert {row["phase"] for row in store.rows()} == {"search", "confirm"}


def test_the_best_and_the_default_race_on_the_same_fresh_seeds_without_test(ask):
    store = MemoryStore()
    raced(ask, store, select_seeds=3)
    best, second = searched(store)[:2]
    default = next(row for row in searched(store) if row["is_default"])
    expected = {row["key"] for row in (best, second, default)}
    runs = Counter(row["source_key"] for row in of_phase(store.rows(), "race"))
    assert runs == dict.fromkeys(expected, 3)
    seeds = {row["seed"] for row in of_phase(store.rows(), "race")}
    assert len(seeds) == 3
    others = {row["seed"] for row in store.rows() if row["phase"] != "race"}
    assert not seeds & others
    assert "race" not in JUDGED_ON_TEST


def test_what_has_the_best_mean_of_its_retrainings_is_confirmed_beside_the_default(ask):
    store = MemoryStore()
    raced(ask, store, select_seeds=3)
    means: dict[str, list[float]] = {}
    for row in of_phase(store.rows(), "race"):
        means.setdefault(row["source_key"], []).append(row["val_balanced_accuracy"])
    winner = max(means, key=lambda key: sum(means[key]))
    default = next(row["key"] for row in searched(store) if row["is_default"])
    confirmed = {row["source_key"] for row in of_phase(store.rows(), "confirm")}
    assert confirmed == {winner, default}
    selected = best_row(store.rows())
    assert selected is not None
    assert selected["key"] == winner


def test_what_falls_behind_drops_out_and_the_default_stays(ask, behind):
    store = MemoryStore()
    raced(ask, store, select_seeds=3)
    counts = Counter(row["source_key"] for row in of_phase(store.rows(), "race"))
    default = next(row["key"] for row in searched(store) if row["is_default"])
    winner = race_winner(store.rows())
    assert winner is not None
    assert counts[default] == 3
    assert counts[winner["key"]] == 3
    assert all(n == 1 for key, n in counts.items() if key not in (default, winner["key"]))


@pytest.mark.parametrize("prefix", [3, 6, 7, 9, 10, 13, 16])
def test_a_race_that_was_cut_off_runs_exactly_the_rest(ask, behind, prefix):
    request = ask("crt", "cross_entropy", n_trials=4, select_top=2, select_seeds=3)
    assert_goes_on(request, prefix)


def test_a_retraining_that_fails_is_out(ask):
    store = MemoryStore()
    request = ask("cross_entropy", n_trials=6, select_top=2, select_seeds=2)

    def status(job):
        best = searched(store)[0]["key"] if job.spec.phase != "search" else None
        return "diverged" if job.context.source_key == best else "ok"

    run_all(queue_of(request, store), store, status=status)
    best = searched(store)[0]["key"]
    runs = [row for row in of_phase(store.rows(), "race") if row["source_key"] == best]
    assert len(runs) == 1
    assert best not in {row["source_key"] for row in of_phase(store.rows(), "confirm")}


def test_the_plan_of_a_race_is_never_exceeded_and_ends_at_nothing(ask):
    request = ask("cross_entropy", "crt", n_trials=5, select_top=3, select_seeds=2)
    store = MemoryStore()
    outline = plan(queue_of(request, store), lambda spec: False)
    # 2 studies x (3 of the best and the default x 2 seeds + selected and default x 2 seeds)
    assert outline.confirmations == 2 * (4 * 2 + 2 * 2)
    left = [outline.trials + outline.confirmations]
    queue = queue_of(request, store)
    ran = []
    while not queue.finished:
        ran += run_all(queue, store, most=4)
        now = plan(queue_of(request, store), lambda spec: False)
        left.append(now.trials + now.confirmations)
    assert len(ran) <= outline.trials + outline.confirmations
    assert len({job.encoder for job in ran}) <= outline.encoders
    assert all(after <= before for before, after in pairwise(left))
    assert left[-1] == 0


def test_a_larger_budget_lets_what_raced_race_on(ask):
    store = MemoryStore()
    raced(ask, store, n_trials=4)
    before = {row["source_key"] for row in of_phase(store.rows(), "race")}
    raced(ask, store, n_trials=8)
    after = Counter(row["source_key"] for row in of_phase(store.rows(), "race"))
    assert before <= set(after)
    assert set(after.values()) == {3}
    winner = best_row(store.rows())
    assert winner is not None
    assert winner["key"] in {row["source_key"] for row in of_phase(store.rows(), "confirm")}


def test_of_equals_the_default_wins():
    rows = [make_trial("crt", n, v) for n, v in enumerate((0.4, 0.8))]
    for source in rows[:2]:
        rows.append(make_trial("crt", 1, 0.5, source=source) | {"phase": "race"})
    winner = race_winner(rows)
    assert winner is not None
    assert winner["is_default"]


def test_a_race_is_judged_on_the_images_and_seeds_of_both(tmp_path):
    store = open_store(tmp_path, create=True)
    labels = np.tile(LABELS, 20)
    rng = np.random.default_rng(0)

    def runs(number, n_wrong, name):
        source = make_trial("crt", number, 0.5)
        rows = []
        for seed in (1, 2, 3):
            row = make_trial("crt", seed, 0.5, source=source) | {"phase": "race"}
            row |= {"key": f"{name}{seed}"}
            z = np.zeros((len(labels), 3), dtype=np.float32)
            wrong = rng.permutation(len(labels)) < n_wrong
            z[np.arange(len(labels)), np.where(wrong, (labels + 1) % 3, labels)] = 2.0
            images = [(f"i{i}", "val", int(label), z[i].tolist()) for i, label in enumerate(labels)]
            store.write(row, images)
            rows.append(row)
        return rows

    leader, near, far = runs(1, 20, "a"), runs(2, 22, "b"), runs(3, 80, "c")
    is_behind = behind_on_val(store)
    assert is_behind(leader, far)
    assert not is_behind(leader, near)
    assert not is_behind(far, leader)
    # One seed tells nothing of how retrainings differ.
    assert not is_behind(leader[:1], far[:1])
    assert not behind_on_val(MemoryStore())(leader, far)


def test_a_range_of_factors_has_no_race(ask):
    with pytest.raises(UserError, match="leave out select_top"):
        ask("cross_entropy", over_factors=True, select_top=2)


@pytest.mark.parametrize("field", ["select_top", "select_seeds"])
def test_a_race_of_nobody_is_refused(ask, field):
    with pytest.raises(UserError, match="give 1 or more"):
        ask("cross_entropy", **{field: 0})
