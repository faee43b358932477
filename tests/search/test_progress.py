import io

import pytest
from memory_search import MemoryStore, queue_of, row_of, run_all
from rich.console import Console

from lmd_bench.core.schema import Progress
from lmd_bench.search.display import (
    LineDisplay,
    LiveDisplay,
    clock,
    make_display,
    running_table,
    study_tables,
    totals,
)


def play(display, queue):
    display.open(queue, 1)
    job = queue.next()
    display.started(job)
    display.advanced(job, Progress("representation", 1, 2, 0.25, 0.5))
    queue.complete(job.key, row := row_of(job))
    display.finished(job, row)
    job = queue.next()
    display.started(job)
    queue.lost(job.key, "kill -9")
    display.finished(job, None)
    display.close()
    display.note("the end")


def test_without_a_terminal_each_finished_trial_is_one_line(ask):
    out = io.StringIO()
    queue = queue_of(ask("cross_entropy", n_trials=2, confirm_seeds=0), MemoryStore())
    play(LineDisplay(Console(file=out, width=40)), queue)
    lines = out.getvalue().splitlines()
    assert lines[0] == "1 studies, at most 2 trials, 0 of them stored, 1 at a time"
    assert lines[1].startswith("[1/2] cross_entropy #0 (default): val balanced accuracy 0.")
    assert lines[2] == "[1/2] cross_entropy #1: lost with its worker, put back"
    assert lines[3:] == ["the end"]


def test_the_live_display_shows_studies_and_totals(ask):
    out = io.StringIO()
    queue = queue_of(ask("cross_entropy", n_trials=2, confirm_seeds=0), MemoryStore())
    play(LiveDisplay(Console(file=out, force_terminal=True, width=120)), queue)
    shown = out.getvalue()
    assert "1 of at most 2 trials" in shown
    assert "cross_entropy" in shown
    assert "1/2" in shown
    assert "the end" in shown


def test_a_narrow_terminal_cuts_no_name(ask):
    out = io.StringIO()
    queue = queue_of(ask("label_aware_smoothing+logit_adjustment"), MemoryStore())
    console = Console(file=out, width=60)
    console.print(study_tables(queue))
    name = "label_aware_smoothing+logit_adjustment confirms #10 (default)"
    console.print(running_table({"key": (name, Progress("representation", 10, 10, 0.25, 0.5))}))
    shown = out.getvalue()
    assert "…" not in shown
    heads, _, *running = shown[shown.index(" running") :].splitlines()
    names = "".join(line[: heads.index("stage")] for line in running)
    assert names.replace(" ", "") == name.replace(" ", "")


def test_the_display_follows_standard_output(capsys):
    assert isinstance(make_display(), LineDisplay)


def test_the_time_left_is_what_the_trials_of_each_study_took(ask):
    store = MemoryStore()
    queue = queue_of(ask("cross_entropy", n_trials=4, confirm_seeds=0), store)
    run_all(queue, store, most=1)  # each takes 1.0 s
    now = totals(queue, n_slots=2)
    assert (now.done, now.total, now.seconds_left) == (1, 4, 1.5)


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.24, "4.2 s"), (185.0, "3 min 05 s"), (7800.0, "2 h 10 min")]
)
def test_times_are_read_at_a_glance(seconds, text):
    assert clock(seconds) == text
