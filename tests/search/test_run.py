"""The search loop around Tune, with Tune replaced by a loop that runs formulas."""

import os
import signal
from contextlib import contextmanager, nullcontext

import pytest
from memory_search import MemoryStore, row_of

from lmd_bench.core.errors import UserError
from lmd_bench.search import run
from lmd_bench.search.jobs import from_payload
from lmd_bench.search.tune.claims import claimed
from lmd_bench.search.tune.slots import Slots
from lmd_bench.search.watching.traces import read_searches


class Lines:
    """A display that keeps what it is told."""

    def __init__(self):
        self.notes = []

    def open(self, queue, n_slots): ...
    def started(self, job): ...
    def advanced(self, job, progress): ...
    def finished(self, job, row): ...
    def close(self): ...

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def store(monkeypatch):
    memory = MemoryStore()
    monkeypatch.setattr(run, "open_store", lambda root, create: memory)
    monkeypatch.setattr(run, "find_slots", lambda request: Slots(2, 1, 0.0))
    monkeypatch.setattr(run, "cluster", lambda address, slots, verbose: nullcontext())
    return memory


def play(searcher, store, most=1000):
    """Run up to `most` trials as Tune does; leave the last one running if there were more."""
    for number in range(most + 1):
        suggested = searcher.suggest(f"t{number}")
        if suggested == "FINISHED":
            return
        if number < most:
            store.write(row_of(from_payload(suggested["job"])))
            searcher.on_trial_complete(f"t{number}", {})


def search(ask, tmp_path, display=None, **fields):
    return run.run_search(ask("crt", results=tmp_path, n_trials=2, **fields), display or Lines())


@pytest.fixture
def held(monkeypatch):
    """Return what became of Ray: "up" and "down", in order."""
    seen = []

    @contextmanager
    def cluster(address, slots, verbose):
        seen.append("up")
        try:
            yield
        finally:
            seen.append("down")

    monkeypatch.setattr(run, "cluster", cluster)
    return seen


def test_ray_is_started_once_for_a_search(ask, store, held, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "_fit", lambda searcher, request, slots: play(searcher, store))
    assert search(ask, tmp_path).problems == ()
    assert held == ["up", "down"]


def test_ray_is_let_go_when_an_encoder_cannot_be_had(ask, store, held, tmp_path, monkeypatch):
    def refuse(trials):
        raise UserError("No such weights.")

    monkeypatch.setattr(run, "encoders_tried", refuse)
    monkeypatch.setattr(run, "_fit", lambda *arguments: pytest.fail("it ran"))
    with pytest.raises(UserError, match="No such weights"):
        search(ask, tmp_path)
    assert held == ["up", "down"]
    assert not (tmp_path / "searches").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_features_are_computed_ends_it_with_a_sentence(
    ask, store, held, tmp_path, monkeypatch, number
):
    monkeypatch.setattr(run, "fill_features", lambda queue, progress: os.kill(os.getpid(), number))
    monkeypatch.setattr(run, "_fit", lambda *arguments: pytest.fail("it ran"))
    lines = Lines()
    outcome = search(ask, tmp_path, lines)
    assert outcome.stopped
    assert lines.notes == ["stopped: 0 trials are stored; the same command goes on"]
    assert held == ["up", "down"]


def test_a_search_runs_to_the_end(ask, store, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "_fit", lambda searcher, request, slots: play(searcher, store))
    outcome = search(ask, tmp_path)
    assert outcome.n_run == outcome.n_stored == len(store.by_key)
    assert outcome.exit_code == 0


def test_a_search_leaves_its_ranges_and_first_points(ask, store, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "_fit", lambda searcher, request, slots: play(searcher, store))
    ranges, points = {"training.lr": "0.01:0.1"}, ({"training.lr": 0.05},)
    search(ask, tmp_path, ranges=ranges, points=points)
    stage1, crt = read_searches(tmp_path)[0].studies
    assert stage1.space["training.lr"]["attributes"]["high"] == 0.1
    assert [point["training.lr"] for point in stage1.points] == [0.05]
    assert "crt.lr" in crt.space
    assert crt.points == ()


def test_a_finished_search_does_not_start_ray(ask, store, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "_fit", lambda searcher, request, slots: play(searcher, store))
    search(ask, tmp_path)
    monkeypatch.setattr(
        run, "cluster", lambda address, slots, verbose: pytest.fail("it started Ray")
    )
    assert search(ask, tmp_path).n_run == 0


def test_the_search_outlives_tune_as_long_as_trials_finish(ask, store, tmp_path, monkeypatch):
    from ray.exceptions import OutOfMemoryError

    starts = []

    def fit(searcher, request, slots):
        starts.append(1)
        if len(starts) == 3:
            return play(searcher, store)
        play(searcher, store, most=1)
        raise OutOfMemoryError("killed by the memory monitor")

    monkeypatch.setattr(run, "_fit", fit)
    outcome = search(ask, tmp_path)
    assert outcome.exit_code == 0
    assert len(starts) == 3
    assert {row["status"] for row in store.rows()} == {"ok"}


def test_a_trial_that_kills_tune_every_time_becomes_a_row(ask, store, tmp_path, monkeypatch):
    from ray.exceptions import OutOfMemoryError

    def fit(searcher, request, slots):
        for number in range(1000):
            suggested = searcher.suggest(f"t{number}")
            if suggested == "FINISHED":
                return
            job = from_payload(suggested["job"])
            if (job.spec.method, job.context.trial_number) == ("crt", 1):
                raise OutOfMemoryError("too large")
            store.write(row_of(job))
            searcher.on_trial_complete(f"t{number}", {})

    monkeypatch.setattr(run, "_fit", fit)
    assert search(ask, tmp_path).exit_code == 0
    (lost,) = (row for row in store.rows() if row["status"] == "lost")
    assert "too large" in lost["cause"]


def test_the_search_gives_up_when_nothing_moves(ask, store, tmp_path, monkeypatch):
    from ray.tune import TuneError

    def fit(searcher, request, slots):
        raise TuneError("no")

    monkeypatch.setattr(run, "_fit", fit)
    outcome = search(ask, tmp_path)
    assert outcome.exit_code == 1
    assert "died 3 times" in outcome.problems[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_search_and_says_how_to_go_on(ask, store, tmp_path, monkeypatch, number):
    def fit(searcher, request, slots):
        play(searcher, store, most=2)
        os.kill(os.getpid(), number)

    monkeypatch.setattr(run, "_fit", fit)
    outcome = search(ask, tmp_path, display := Lines())
    assert outcome.exit_code == 130
    assert display.notes == ["stopped: 2 trials are stored; the same command goes on"]


def test_what_a_worker_finds_wrong_with_the_data_ends_the_search(ask, store, tmp_path, monkeypatch):
    def fit(searcher, request, slots):
        searcher.suggest("t0")
        searcher.on_trial_complete("t0", {"refusal": "an image is gone"})
        assert searcher.suggest("t1") == "FINISHED"

    monkeypatch.setattr(run, "_fit", fit)
    with pytest.raises(UserError, match="an image is gone"):
        search(ask, tmp_path)
    assert store.rows() == []


def test_a_second_search_of_the_same_studies_is_refused_while_the_first_runs(
    ask, store, tmp_path, monkeypatch
):
    def fit(searcher, request, slots):
        with pytest.raises(UserError, match=r"Another search \(process \d+ on .*\) is working on"):
            search(ask, tmp_path)
        with claimed(tmp_path, ["another study"]):  # other studies may share the folder
            play(searcher, store)

    monkeypatch.setattr(run, "_fit", fit)
    assert search(ask, tmp_path).exit_code == 0
