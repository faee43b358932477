"""Status and failures, from rows and signs alone."""

import pytest

from lmd_bench.cli import app
from lmd_bench.cli.watching import _drawn
from lmd_bench.core.errors import UserError
from lmd_bench.search.watching import failures as failing
from lmd_bench.search.watching import status as state
from lmd_bench.search.watching.traces import Heartbeat, PlannedStudy, SearchTrace, write_search
from lmd_bench.store.store import open_store

STUDY = PlannedStudy("task/crt/10ep", "crt", "task", trials=4, confirmations=2)


def row(key: str, **other):
    return {
        "key": key,
        "study": STUDY.id,
        "method": "crt",
        "phase": "search",
        "status": "ok",
        "cause": "",
        "val_balanced_accuracy": 0.5,
        "seconds": 10.0,
        "finished_at": "2026-01-01T00:00:0" + key,
        **other,
    }


ROWS = [
    row("1"),
    row("2", val_balanced_accuracy=0.7),
    row("3", status="oom", cause="no room", val_balanced_accuracy=None),
    row("4", phase="confirm", val_balanced_accuracy=0.9),
    row("5", study="another", status="diverged", cause="loss nan"),
    row("6", study="another", status="diverged", cause="loss nan", method="lws"),
]


def test_status_counts_rows_and_signs(tmp_path):
    write_search(tmp_path, SearchTrace("lmd-bench search", 1.0, 2, (STUDY,)))
    Heartbeat(tmp_path, "k", STUDY.id, "crt #3")
    Heartbeat(tmp_path, "l", "another", "lws #3")
    (one,) = state.status(tmp_path, ROWS)
    (study,) = one.studies
    assert (study.done, study.failed, study.running, study.confirmed) == (3, 1, 1, 1)
    assert (study.best, study.seconds, study.left) == (0.7, 40.0, 2)
    assert one.seconds_left == 2 * 10.0 / 2  # two to come, ten seconds each, two at a time


def test_status_says_what_runs(tmp_path):
    open_store(tmp_path, create=True)
    write_search(tmp_path, SearchTrace("lmd-bench search", 1.0, 2, (STUDY,)))
    Heartbeat(tmp_path, "k", STUDY.id, "crt #3")
    text = _drawn(tmp_path)
    assert "crt #3" in text
    assert "0/4" in text


def test_status_fits_the_terminal_and_keeps_names_whole(tmp_path, monkeypatch, capsys):
    open_store(tmp_path, create=True)
    name = "label_aware_smoothing+logistic_regression"
    plan = PlannedStudy("task/x", name, "a task", trials=4, confirmations=2)
    write_search(tmp_path, SearchTrace("lmd-bench search", 1.0, 2, (plan,)))
    monkeypatch.setenv("COLUMNS", "80")
    app(["status", "--results", str(tmp_path)], standalone_mode=False)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith(name) for line in lines)


def test_a_folder_without_a_search_says_so(tmp_path):
    open_store(tmp_path, create=True)
    with pytest.raises(UserError, match="No search has left its plan"):
        app(["status", "--results", str(tmp_path)], standalone_mode=False)


def test_failures_are_grouped_by_cause_with_the_latest_traceback(tmp_path):
    for key in ("5", "6"):
        (tmp_path / f"{key}.txt").write_text("traceback")
    first, second = failing.failures(ROWS, tmp_path)
    assert (first.status, first.n_trials, first.methods) == ("diverged", 2, ("crt", "lws"))
    assert first.traceback.name == "6.txt"
    assert (second.cause, second.traceback) == ("no room", None)


def test_no_failures_is_said(tmp_path, capsys):
    open_store(tmp_path, create=True)
    app(["failures", "--results", str(tmp_path)], standalone_mode=False)
    assert "None of 0 trials failed" in capsys.readouterr().out


def test_a_pruned_trial_is_no_failure(tmp_path):
    write_search(tmp_path, SearchTrace("lmd-bench search", 1.0, 2, (STUDY,)))
    rows = [row("1"), row("2", status="pruned", cause="others were better")]
    ((study,),) = (one.studies for one in state.status(tmp_path, rows))
    assert (study.done, study.failed, study.pruned) == (2, 0, 1)
    assert failing.failures(rows, tmp_path) == []
