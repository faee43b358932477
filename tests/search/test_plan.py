from dataclasses import replace

import pytest
from memory_search import MemoryStore, queue_of, run_all

from lmd_bench.cli.search import print_plan
from lmd_bench.search.disk import LOGIT_BYTES, ROW_BYTES, disk_of
from lmd_bench.search.plan import plan
from lmd_bench.search.proposing.portfolio import Entry, Portfolio, Regime, Unit


def never(spec):
    return False


def test_the_plan_of_a_new_search_can_be_counted_by_hand(ask):
    outline = plan(queue_of(ask("cross_entropy", "crt"), MemoryStore()), never)
    assert outline.trials == 8  # 4 of each study
    assert outline.confirmations == 8  # 2 studies x selected and default x 2 seeds
    assert outline.stored == 0
    # 4 in the search; 2 seeds of the default config, which both share; 2 of each selected one
    assert outline.encoders == 4 + 2 + 2 * 2


def test_the_plan_shrinks_with_what_is_stored(ask):
    store = MemoryStore()
    run_all(queue_of(ask("cross_entropy", "crt"), store), store, most=5)
    outline = plan(queue_of(ask("cross_entropy", "crt"), store), never)
    assert (outline.stored, outline.trials) == (5, 3)


def test_a_finished_search_has_nothing_left(ask):
    store = MemoryStore()
    run_all(queue_of(ask("lmd", "logit_adjustment"), store), store)
    outline = plan(queue_of(ask("lmd", "logit_adjustment"), store), never)
    assert (outline.trials, outline.confirmations, outline.encoders) == (0, 0, 0)
    assert outline.stored == len(store.by_key)


def test_what_is_still_to_come_on_the_disk_can_be_counted_by_hand(ask):
    request = ask("cross_entropy", "lmd", n_trials=1, confirm_seeds=1)
    queue = queue_of(request, MemoryStore())
    studies = {study.spec.method.name: study for study in queue.studies.values()}
    encoder = 44_771_000  # ResNet-18 without classifier
    disk = disk_of([studies["cross_entropy"], studies["lmd"]], [(3, 1), (2, 1)], 4)
    assert disk.encoder_bytes == pytest.approx(encoder, rel=0.01)
    # ICC moves the encoder, so the model that is kept of it holds one
    rows = 7 * ROW_BYTES + 2 * LOGIT_BYTES
    assert disk.n_bytes == 5 * disk.encoder_bytes + rows
    assert disk.n_files == 2 * 4 + 2 * 5 + 5 * 2


def test_a_disk_that_will_not_do_is_said(ask, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("lmd_bench.store.cleaning.free_bytes", lambda folder: 10**6)
    print_plan(ask("crt", results=tmp_path / "none"))
    assert "0.0 GB are free. That may not do" in " ".join(capsys.readouterr().out.split())


def test_a_finite_space_is_planned_at_its_size(ask):
    outline = plan(queue_of(ask("logit_adjustment", n_trials=8, top_k=3), MemoryStore()), never)
    budgets = {study.method: study.budget for study in outline.studies}
    assert budgets == {"cross_entropy": 8, "logit_adjustment": 4}  # 3 encoders and the default's


def test_the_search_never_runs_more_than_was_planned(ask):
    request = ask("cross_entropy", "crt", "logit_adjustment", "lmd", n_trials=5)
    outline = plan(queue_of(request, MemoryStore()), never)
    store = MemoryStore()
    ran = run_all(queue_of(request, store), store)
    assert len(ran) <= outline.trials + outline.confirmations
    assert len({job.encoder for job in ran}) <= outline.encoders


def test_stored_encoders_are_not_trained_again(ask):
    request = ask("cross_entropy", n_trials=1)
    store = MemoryStore()
    run_all(queue_of(request, store), store, most=1)
    assert plan(queue_of(request, store), never).encoders == 2
    assert plan(queue_of(request, store), lambda spec: True).encoders == 0


def test_printing_a_plan_creates_no_folder(ask, tmp_path, capsys):
    print_plan(ask("crt", results=tmp_path / "none"))
    assert "At most 8 search trials" in capsys.readouterr().out
    assert not (tmp_path / "none").exists()


SCRATCH = Regime("full", "sgd", from_weights=False)
LEARNED = Portfolio(
    (
        Entry(Unit("cross_entropy", "none", SCRATCH), ({"training.lr": 0.02},), {}),
        Entry(Unit("cross_entropy", "crt", SCRATCH), ({"crt.lr": 0.5}, {"crt.lr": 0.02}), {}),
    ),
    source="mine.yaml",
)


def test_the_plan_names_what_of_a_portfolio_is_tried_and_from_which_file(ask, tmp_path, capsys):
    ways = {"portfolio": LEARNED, "results": tmp_path / "none"}
    print_plan(ask("crt", n_trials=8, **ways))
    lines = capsys.readouterr().out.splitlines()
    text = " ".join(" ".join(lines).split())
    assert "configurations of the portfolio mine.yaml (--points none goes without)" in text
    assert "cross_entropy: 1 configuration" in lines
    assert "crt: 2 configurations" in lines
    start = lines.index("crt: 2 configurations")
    assert [line.split(",")[0].strip() for line in lines[start + 1 : start + 3]] == [
        "crt.lr=0.5",
        "crt.lr=0.02",
    ]

    print_plan(ask("crt", n_trials=4, **ways))  # a stage of four trials tries none
    assert "portfolio" not in capsys.readouterr().out


def test_what_of_a_portfolio_has_been_tried_is_not_planned_again(ask):
    store = MemoryStore()
    request = ask("crt", n_trials=12, portfolio=LEARNED)
    first = plan(queue_of(request, store), never).studies
    run_all(queue_of(request, store), store)
    then = plan(queue_of(request, store), never).studies
    assert {study.method: len(study.from_portfolio) for study in first} == {
        "cross_entropy": 1,
        "crt": 2,
    }
    assert not any(study.from_portfolio for study in then)


def test_under_hours_all_that_a_portfolio_may_give_is_named(ask):
    request = ask("crt", hours=2.0, portfolio=LEARNED)
    studies = plan(queue_of(request, MemoryStore()), never).studies
    assert [len(study.from_portfolio) for study in studies] == [1, 2]


def test_a_portfolio_of_a_person_that_fits_no_study_is_said(ask, tmp_path, capsys):
    mine = replace(LEARNED, is_shipped=False)
    print_plan(ask("tau_norm", n_trials=4, portfolio=mine, results=tmp_path / "none"))
    assert "The portfolio mine.yaml has nothing for these studies." in capsys.readouterr().out
