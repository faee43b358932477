"""The columns of a leaderboard table: the usual ones, or those of the metrics asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

from lmd_bench.core.text import rough
from lmd_bench.stats.metrics import METRICS

Line = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    header: str
    cell: Callable[[Line], str]
    priority: int  # a narrow terminal drops the highest first; 0 is always shown
    meaning: str = ""


def metric_columns(names: Sequence[str]) -> tuple[Column, ...]:
    """Return the method, its trials and seeds, and a column for each metric with its SD."""
    return (METHOD, TRIALS, SEEDS, *(_metric_column(name) for name in names))


def number(value: float, *, percent: bool = True) -> str:
    """Return a score as tables show it; what is undefined is a dash."""
    if isnan(value):
        return "–"
    return f"{100 * value:.1f}" if percent else f"{value + 0.0:.3f}"


def _metric_column(name: str) -> Column:
    metric = METRICS[name]
    words = name.replace("_", " ").rsplit(" ", 1)
    arrow = "" if metric.higher_is_better else " ↓"
    header = "\n".join(words) + arrow
    return Column(header, lambda line: _with_spread(line, f"test_{name}", metric.percent), 0)


def _with_spread(line: Line, name: str, percent: bool = True) -> str:
    mean, sd = line[name], line[f"{name}_sd"]
    shown = number(mean, percent=percent)
    return shown if isnan(sd) else f"{shown} ± {number(sd, percent=percent)}"


def _trials(line: Line) -> str:
    return f"{line['n_trials_ok']}/{line['n_trials']}" + ("*" if line["fewer_trials"] else "")


def _seeds(line: Line) -> str:
    n_failed = line["n_seeds_failed"]
    return f"{line['n_seeds']}" + (f" of {line['n_seeds'] + n_failed}" if n_failed else "")


METHOD = Column("Method", lambda line: line["label"], 0)
TRIALS = Column("Trials", _trials, 5, "Trials: ended well / all.")
SEEDS = Column("Seeds", _seeds, 7)
USUAL = (
    METHOD,
    Column("Bal. acc.\ntuned", lambda line: _with_spread(line, "test_balanced_accuracy"), 0),
    Column(
        "Bal. acc.\ndefault", lambda line: _with_spread(line, "default_test_balanced_accuracy"), 3
    ),
    Column("Macro\nF1", lambda line: _with_spread(line, "test_macro_f1"), 4),
    Column("Many", lambda line: number(line["test_many_recall"]), 2),
    Column("Med.", lambda line: number(line["test_medium_recall"]), 2),
    Column("Few", lambda line: number(line["test_few_recall"]), 1),
    Column("Val", lambda line: number(line["val_balanced_accuracy"]), 8),
    TRIALS,
    SEEDS,
    Column(
        "Time",
        lambda line: rough(line["seconds"]),
        6,
        "Time: all runs of the study, without the search of its stage 1.",
    ),
    Column(
        "Alone",
        lambda line: rough(line["standalone_seconds"]),
        9,
        "Alone: the time had every run trained its own stage 1.",
    ),
)
