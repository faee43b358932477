"""Trackers beside a search: in time, or ended, with one sentence and no harm."""

import os
import time

import pytest
from test_trackers import write_row

from lmd_bench.tracking.beside import tracked
from lmd_bench.tracking.sending import Destination, opened

SLOW = """
import time
from lmd_bench.tracking.trackers import Tracker

class Slow(Tracker):
    package = "json"
    @staticmethod
    def default(results): return str(results)
    def __init__(self, uri): pass
    def stamps(self): return {}
    def send(self, entry): time.sleep(600)
"""


def test_rows_of_the_search_are_sent_and_those_of_others_are_not(tmp_path):
    place, notes = Destination("tensorboard", str(tmp_path / "runs")), []
    with tracked(tmp_path, [place], {"crt-synthetic"}, notes.append, patience=120.0):
        key = write_row(tmp_path)
    with tracked(tmp_path, [place], {"another"}, notes.append, patience=120.0):
        write_row(tmp_path, seed=1)
    with opened(place, tmp_path) as tracker:
        assert list(tracker.stamps()) == [key]
    assert notes == []


def test_a_tracker_that_hangs_is_ended_with_one_sentence(tmp_path, monkeypatch):
    plugin = tmp_path / "slow.py"
    plugin.write_text(SLOW)
    monkeypatch.setenv("LMD_BENCH_PLUGINS", str(plugin))
    write_row(tmp_path)
    notes, began = [], time.monotonic()
    with tracked(tmp_path, [Destination("slow")], {"crt-synthetic"}, notes.append, patience=1.0):
        inside = time.monotonic() - began
    assert inside < 5.0
    assert time.monotonic() - began < 60.0
    (note,) = notes
    assert "it took too long, and was ended" in note
    assert f"lmd-bench sync {tmp_path} --to slow sends what is missing" in note


@pytest.mark.slow
def test_a_server_that_is_not_there_is_named_at_the_end(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    write_row(tmp_path)
    notes = []
    place = Destination("mlflow", "http://127.0.0.1:9")
    with tracked(tmp_path, [place], {"crt-synthetic"}, notes.append, patience=120.0):
        pass
    (note,) = notes
    assert note.startswith("Not all rows are in mlflow (")
    assert "127.0.0.1" in note
    assert "--uri http://127.0.0.1:9 sends what is missing" in note


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_where_no_process_can_start_the_search_goes_on(tmp_path):
    (tmp_path / "logs").mkdir(mode=0o500)
    notes = []
    with tracked(tmp_path, [Destination("tensorboard")], set(), notes.append):
        pass
    assert "could not be started" in notes[0]
