"""A portfolio: tried right after the default, within the budget, and never on its own data set."""

import json
from collections import Counter
from pathlib import Path

import pytest
from memory_search import MemoryStore, assert_goes_on, queue_of, row_of, run_all

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import TaskSpec
from lmd_bench.data.datasets import images_of
from lmd_bench.search.proposing.portfolio import (
    Entry,
    Portfolio,
    Regime,
    Unit,
    default_file,
    first_tried,
    most_of_block,
    read_portfolio,
)
from lmd_bench.search.staging import study_specs

SCRATCH = Regime("full", "sgd", from_weights=False)
STAGE1 = tuple({"training.lr": lr, "training.batch_size": 64} for lr in (0.02, 0.03, 0.2, 0.01))
STAGE2 = ({"crt.lr": 0.5}, {"crt.lr": 0.02})
OTHERS = ({"training.lr": 0.25},)
LEARNED = Portfolio(
    (
        Entry(Unit("cross_entropy", "none", SCRATCH), STAGE1, {"pbc": (), "ham10000": OTHERS}),
        Entry(Unit("cross_entropy", "crt", SCRATCH), STAGE2, {}),
    )
)


def _searched(store: MemoryStore, method: str) -> list[dict]:
    rows = [r for r in store.rows() if r["method"] == method and r["phase"] == "search"]
    return sorted(rows, key=lambda row: row["trial_number"])


def _value(row: dict, key: str) -> object:
    return json.loads(row["config_json"])[key]


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "qmc"])
@pytest.mark.parametrize("deterministic", [False, True])
def test_it_follows_the_default_and_the_row_says_so(ask, sampler: str, deterministic: bool):
    store = MemoryStore()
    ways = {"sampler": sampler, "deterministic": deterministic, "confirm_seeds": 1}
    run_all(queue_of(ask("crt", n_trials=12, portfolio=LEARNED, **ways), store), store)
    stage1, crt = _searched(store, "cross_entropy"), _searched(store, "crt")
    expected = ["default", *["portfolio"] * 3, *["sampler"] * 8]
    assert [row["proposed_by"] for row in stage1] == expected
    assert [_value(row, "training.lr") for row in stage1[:4]] == [0.05, 0.02, 0.03, 0.2]
    assert {_value(row, "training.batch_size") for row in stage1[1:4]} == {64}
    # What is learned for a calibration says nothing of stage 1, so it stands on the best.
    assert [row["proposed_by"] for row in crt[1:4]] == ["portfolio", "portfolio", "sampler"]
    stands_on = [(_value(row, "crt.lr"), row["encoder_rank"]) for row in crt[1:3]]
    assert stands_on == [(0.5, 1), (0.02, 1)]
    confirmed = [row for row in store.rows() if row["phase"] == "confirm"]
    assert {row["proposed_by"] for row in confirmed} == {None}


def test_small_searches_and_keys_are_as_they_were(ask):
    for n_trials in (4, 7):
        plain, store = MemoryStore(), MemoryStore()
        run_all(queue_of(ask("crt", n_trials=n_trials, equal_totals=True), plain), plain)
        request = ask("crt", n_trials=n_trials, equal_totals=True, portfolio=LEARNED)
        run_all(queue_of(request, store), store)
        assert store.by_key == plain.by_key
    plain, store = MemoryStore(), MemoryStore()
    run_all(queue_of(ask("cross_entropy", n_trials=12, sampler="random"), plain), plain)
    request = ask("cross_entropy", n_trials=12, sampler="random", portfolio=LEARNED)
    run_all(queue_of(request, store), store)
    # What the sampler draws for a number is what it would have drawn without a portfolio.
    drawn = {row["key"] for row in _searched(store, "cross_entropy") if row["trial_number"] > 3}
    assert drawn <= set(plain.by_key)
    assert [most_of_block(n) for n in (7, 8, 12, 16, None)] == [0, 2, 3, 4, 4]


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("cut", [2, 5])
def test_a_search_with_a_portfolio_resumes(ask, deterministic: bool, cut: int):
    ways = {"sampler": "random", "deterministic": deterministic}
    assert_goes_on(ask("crt", n_trials=12, portfolio=LEARNED, **ways), cut)


@pytest.mark.parametrize("deterministic", [False, True])
def test_a_study_that_began_without_it_goes_on_as_it_began(ask, deterministic: bool):
    ways = {"n_trials": 12, "sampler": "random", "deterministic": deterministic}
    whole, store = MemoryStore(), MemoryStore()
    run_all(queue_of(ask("cross_entropy", **ways), whole), whole)
    run_all(queue_of(ask("cross_entropy", **ways), store), store, most=6)
    run_all(queue_of(ask("cross_entropy", portfolio=LEARNED, **ways), store), store)
    assert set(store.by_key) == set(whole.by_key)


def test_a_portfolio_that_has_changed_leaves_a_study_with_what_it_tried(ask):
    ways = {"n_trials": 12, "sampler": "random", "deterministic": True}
    whole, store = MemoryStore(), MemoryStore()
    request = ask("cross_entropy", portfolio=LEARNED, **ways)
    run_all(queue_of(request, whole), whole)
    run_all(queue_of(request, store), store, most=6)
    entry = Entry(LEARNED.entries[0].unit, ({"training.lr": 0.29},), {})
    run_all(queue_of(ask("cross_entropy", portfolio=Portfolio((entry,)), **ways), store), store)
    assert set(store.by_key) == set(whole.by_key)


def test_it_comes_after_the_default_at_every_factor(ask):
    tasks = tuple((TaskSpec("synthetic", imbalance_factor=f), "f" * 20) for f in (10.0, 20.0, 40.0))
    store = MemoryStore()
    request = ask("cross_entropy", n_trials=16, tasks=tasks, over_factors=True, portfolio=LEARNED)
    run_all(queue_of(request, store), store)
    by = [row["proposed_by"] for row in _searched(store, "cross_entropy")]
    assert by == ["default"] * 3 + ["portfolio"] * 3 + ["sampler"] * 10


def test_a_data_set_is_not_searched_with_what_was_learned_on_its_images(ask):
    def block(name: str) -> list[object]:
        tasks = ((TaskSpec(name, imbalance_factor=20.0, image_size=32), "f" * 20),)
        request = ask("cross_entropy", n_trials=16, tasks=tasks, portfolio=LEARNED)
        return [config["training.lr"] for config in study_specs(request)[0].block]

    assert block("synthetic") == [0.02, 0.03, 0.2, 0.01]
    assert block("ham10000") == block("dermamnist") == block("isic2019") == [0.25]
    assert block("pbc") == block("bloodmnist") == []
    assert images_of("of a person") == {"of a person"}


def test_what_does_not_fit_a_study_is_left_away(ask):
    def block(method: str, **fields) -> list[object]:
        specs = study_specs(ask(method, n_trials=16, portfolio=LEARNED, **fields))
        return [config["training.lr"] for config in specs[-1].block]

    assert block("cross_entropy", ranges={"training.lr": "0.015:0.1"}) == [0.02, 0.03]
    assert block("cross_entropy", overrides={"training.lr": 0.1}) == [0.1]
    # Another optimiser has another range, and a method with settings of its own is another one.
    assert block("cross_entropy", overrides={"training.optimiser": "adamw"}) == []
    assert block("mixup") == []
    joint = study_specs(ask("crt", n_trials=16, joint=True, portfolio=LEARNED))[0].block
    both = [(config["training.lr"], config["crt.lr"]) for config in joint]
    assert both[:3] == [(0.02, 0.5), (0.03, 0.02), (0.2, both[2][1])]


def test_only_what_a_person_chose_makes_studies_of_its_own(ask):
    def id_with(portfolio: Portfolio | None) -> str:
        return study_specs(ask("cross_entropy", portfolio=portfolio))[0].id

    plain = id_with(Portfolio())
    assert id_with(LEARNED) == plain
    assert id_with(None) == f"{plain}-no-portfolio"
    assert id_with(Portfolio(LEARNED.entries, is_shipped=False)) != plain


def test_the_shipped_one_is_read_and_its_values_lie_in_the_search_spaces():
    entries = read_portfolio(default_file())
    assert entries
    assert max(Counter(entry.unit for entry in entries).values()) == 1
    points, shipped = first_tried(Path("portfolio"))
    assert (points, shipped) == ((), Portfolio(entries))
    assert first_tried(Path("none")) == ((), None)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "lr: 0.02",
            "lr: 900.0",
            "training.lr: 900.0 for cross_entropy.* outside its range",
        ),
        ("training.lr", "crt.lr", "crt.lr is not searched for cross_entropy\\+none"),
        ("cross_entropy", "cross_entropi", "Unknown representation 'cross_entropi'"),
        ("without", "with", "an entry has other names than"),
        ("portfolio:", "folio:", "not a list of points"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path, old: str, new: str, sentence: str):
    text = (
        "portfolio:\n- {representation: cross_entropy, calibration: none, tune: full, "
        "optimiser: sgd, from_weights: false,\n   configs: [{training.lr: 0.02}], without: {}}\n"
    )
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    mine = Portfolio((Entry(LEARNED.entries[0].unit, ({"training.lr": 0.02},), {}),), False)
    assert first_tried(file) == ((), mine)
    file.write_text(text.replace(old, new))
    with pytest.raises(UserError, match=sentence):
        first_tried(file)


def test_its_trials_keep_their_encoders_when_a_larger_budget_ranks_others_first(ask):
    store = MemoryStore()
    ways = {"deterministic": True, "portfolio": LEARNED, "confirm_seeds": 0}
    run_all(queue_of(ask("crt", n_trials=8, **ways), store), store)
    tried = [row for row in _searched(store, "crt") if row["proposed_by"] == "portfolio"]
    assert len(tried) >= 1
    queue = queue_of(ask("crt", n_trials=12, **ways), store)
    ran = []
    while hasattr(job := queue.next(), "spec"):
        ran.append(job)
        # New encoders are better than all before.
        better = 0.0 if job.spec.method == "crt" else 2.0
        row = row_of(job)
        store.write({**row, "val_balanced_accuracy": row["val_balanced_accuracy"] + better})
        queue.ended(job.key, "")
    again = [job for job in ran if job.spec.method == "crt"]
    assert not [job for job in again if job.context.proposed_by == "portfolio"]
    assert {job.key for job in again}.isdisjoint(row["key"] for row in tried)
