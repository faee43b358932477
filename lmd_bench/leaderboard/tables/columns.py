"""The columns of a leaderboard table: the usual ones, or those of the metrics asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import isnan
from typing import Any

from lmd_bench.core.text import rough
from lmd_bench.stats.metrics import METRICS, PRIMARY, Metric
from lmd_bench.store.metrics import known_metrics

Line = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    header: str
    cell: Callable[[Line], str]
    priority: int  # a narrow terminal drops the highest first; 0 is always shown
    meaning: str = ""
    is_marked: bool = False  # where the line leads its task, or is not told apart from what leads


@dataclass(frozen=True)
class Score:
    """A score of every leaderboard, however it is drawn; its metric is `in_board`."""

    metric: Metric
    of_default: bool = False  # of the default configuration, else of the tuned one

    @property
    def name(self) -> str:
        """Return the column of the leaderboard's frame."""
        return f"{'default_' if self.of_default else ''}test_{self.metric.name}"

    @property
    def has_spread(self) -> bool:
        """Return whether its SD is shown; recalls of groups go without, to stay narrow."""
        return self.metric.group is None

    @property
    def title(self) -> str:
        """Return it in words: what it is of, where both configurations have one."""
        metric, group = self.metric, self.metric.group
        if metric is PRIMARY:
            return f"{metric.title}, {'default' if self.of_default else 'tuned'}"
        return metric.title if group is None else group.capitalize()

    @property
    def short(self) -> str:
        """Return the name of its metric in the head of a narrow column."""
        return self.metric.short or self.metric.title

    @property
    def priority(self) -> int:
        """Return 0 for what is always shown; a narrow terminal drops the highest first."""
        if self.metric is PRIMARY:
            return 3 if self.of_default else 0
        return {None: 4, "many": 2, "medium": 2, "few": 1}[self.metric.group]


TUNED = Score(PRIMARY)  # what methods are ranked by
# What the one mark says, after the mark itself: in terminals a point, elsewhere bold.
MARKED = (
    "the best of its task, and what is not told apart from it at 5 % over test images and "
    "retrainings (Holm over all tasks shown)."
)


def board_scores() -> tuple[Score, ...]:
    """Return the scores that a leaderboard shows without being asked, in the order of tables."""
    others = [m for m in METRICS.values() if m.in_board and m is not PRIMARY]
    return (TUNED, Score(PRIMARY, of_default=True), *map(Score, others))


def metric_columns(names: Sequence[str]) -> tuple[Column, ...]:
    """Return the method, its trials and seeds, and a column for each metric with its SD."""
    return (METHOD, TRIALS, SEEDS, *(_metric_column(name) for name in names))


def number(value: float, *, percent: bool = True) -> str:
    """Return a score as tables show it; what is undefined is a dash."""
    if isnan(value):
        return "–"
    return f"{100 * value:.1f}" if percent else f"{value + 0.0:.3f}"


def interval_text(line: Line) -> str:
    """Return the joint interval of balanced accuracy; a dash where it is not known."""
    low, high = (line[f"test_{PRIMARY.name}_{end}"] for end in ("low", "high"))
    return "–" if isnan(low) else f"[{number(low)}, {number(high)}]"


def _metric_column(name: str) -> Column:
    metric = known_metrics()[name]
    header = _head(name.replace("_", " "), metric)
    cell = partial(_with_spread, name=f"test_{name}", percent=metric.percent)
    return Column(header, cell, 0, metric.note, is_marked=metric is PRIMARY)


def _score_column(score: Score) -> Column:
    metric = score.metric
    header = _head(score.short, metric)
    if metric is PRIMARY:
        header = f"{score.short}\n{'default' if score.of_default else 'tuned'}"

    def cell(line: Line) -> str:
        if score.has_spread:
            return _with_spread(line, score.name, metric.percent)
        return number(line[score.name], percent=metric.percent)

    return Column(header, cell, score.priority, is_marked=score == TUNED)


def _head(words: str, metric: Metric) -> str:
    return "\n".join(words.rsplit(" ", 1)) + ("" if metric.higher_is_better else " ↓")


def _with_spread(line: Line, name: str, percent: bool = True) -> str:
    mean, sd = line[name], line[f"{name}_sd"]
    shown = number(mean, percent=percent)
    return shown if isnan(sd) else f"{shown} ± {number(sd, percent=percent)}"


def trials_text(line: Line) -> str:
    """Return the trials of the search of stage 1, where there is one, and its own."""
    before = f"{line['n_stage1_trials']} + " if line["n_stage1_trials"] else ""
    n_ok, n = line["n_trials_ok"], line["n_trials"]
    own = f"{n}" if n_ok == n else f"{n_ok}/{n}"
    return before + own + ("*" if line["fewer_trials"] else "")


def settings_text(line: Line) -> str:
    """Return how many settings were searched: of stage 1, where that is a search, and its own."""
    if _unknown(line["n_searched"]):
        return "–"
    of_two = not _unknown(line["n_stage1_searched"])
    before = f"{line['n_stage1_searched']:.0f} + " if of_two else ""
    return f"{before}{line['n_searched']:.0f}"


def swept_text(line: Line) -> str:
    """Return how many settings each trial itself judged on val."""
    return "–" if _unknown(line["n_swept"]) else f"{line['n_swept']:.0f}"


def _unknown(value: int | float | None) -> bool:
    return value is None or isnan(value)


def _seeds(line: Line) -> str:
    n_failed = line["n_seeds_failed"]
    return f"{line['n_seeds']}" + (f" of {line['n_seeds'] + n_failed}" if n_failed else "")


def _repeats(line: Line) -> str:
    parts = [
        f"{line[f'n_{name}']} {name}"
        + ("" if isnan(sd := line[f"sd_over_{name}"]) else f" ± {number(sd)}")
        for name in ("searches", "splits")
        if line[f"n_{name}"] > 1
    ]
    return ", ".join(parts) or "1"


METHOD = Column("Method", lambda line: line["label"], 0)
TRIALS = Column(
    "Trials",
    trials_text,
    5,
    "Trials: of the search of stage 1 + its own (ended well / all, where some failed).",
)
SEARCHED = Column(
    "Settings",
    settings_text,
    10,
    "Settings: searched in stage 1 + in stage 2, the choice of the encoder not counted.",
)
SWEPT = Column("Swept", swept_text, 11, "Swept: settings that each trial itself judged on val.")
SEEDS = Column("Seeds", _seeds, 7)
INTERVAL = Column(
    "95 %",
    interval_text,
    1,
    "95 %: of the tuned score, over test images (by lesion or patient, where known) and "
    "retrainings together.",
)
REPEATS = Column(
    "Repeats",
    _repeats,
    1,
    "Repeats: searches (and splits) that the line is the mean of, each with the SD over them; the "
    "95 % are over them too.",
)
USUAL = (
    METHOD,
    _score_column(TUNED),
    INTERVAL,
    *map(_score_column, board_scores()[1:]),
    Column("Val", lambda line: number(line["val_balanced_accuracy"]), 8),
    TRIALS,
    SEARCHED,
    SWEPT,
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
        "Alone: the time had every run trained its own stage 1, with the search of stage 1.",
    ),
)
