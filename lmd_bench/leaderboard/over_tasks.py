"""Methods over all tasks, run by run: interquartile mean and performance profiles.

The unit is balanced accuracy on the way from chance to all right (`stats.aggregates.above_chance`).
Runs of all tasks stand together, and each task has the same weight. Test images and retrainings are
drawn inside each task, as for first places, and tasks stay as they are: what the intervals hold is
true of these tasks, and says nothing of others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from lmd_bench.leaderboard.draws import TaskDraws
from lmd_bench.leaderboard.first_places import ONE_RUN, chances_of_first, share
from lmd_bench.leaderboard.tables.text import Part, Table, with_bounds
from lmd_bench.stats.aggregates import (
    FEWEST_RUNS,
    above_chance,
    interquartile_mean,
    performance_profile,
)
from lmd_bench.stats.intervals import Interval

THRESHOLDS = np.linspace(0, 1, 51).round(2)
_NAMED = (0.2, 0.4, 0.6, 0.8)  # of the thresholds, in a table
UNIT = (
    "Balanced accuracy stands between chance (0) and all right (100), so that tasks of unlike "
    "numbers of classes have one unit."
)


@dataclass(frozen=True, eq=False)
class Drawn:
    """A number of each method, and its 95 % bounds over test images and retrainings.

    Where a task has one run of each method, the spread over retrainings is not known: NaN.
    """

    values: Float[np.ndarray, "methods ..."]
    low: Float[np.ndarray, "methods ..."]
    high: Float[np.ndarray, "methods ..."]


@dataclass(frozen=True, eq=False)
class OverTasks:
    """Methods over several tasks, highest interquartile mean first; scores are above chance."""

    tasks: tuple[str, ...]
    methods: tuple[str, ...]
    n_runs: int  # of each method, on all tasks
    iqm: Drawn
    first: Float[np.ndarray, " methods"]  # share of draws in which its IQM is highest; NaN as there
    profiles: Drawn  # methods x THRESHOLDS
    left_out: tuple[str, ...]  # methods without runs on some task

    @property
    def frame(self) -> pd.DataFrame:
        """Return one line per method."""
        return pd.DataFrame(
            {
                "method": self.methods,
                "iqm": self.iqm.values,
                "iqm_low": self.iqm.low,
                "iqm_high": self.iqm.high,
                "first": self.first,
                "n_tasks": len(self.tasks),
                "n_runs": self.n_runs,
            }
        )

    @property
    def profile_frame(self) -> pd.DataFrame:
        """Return one line per method and threshold: the share of its runs above it."""
        n = len(THRESHOLDS)
        columns = {"share": self.profiles.values, "low": self.profiles.low}
        columns["high"] = self.profiles.high
        return pd.DataFrame(
            {"method": np.repeat(self.methods, n), "above": np.tile(THRESHOLDS, len(self.methods))}
            | {name: values.ravel() for name, values in columns.items()}
        )

    def interval(self, place: int) -> Interval:
        """Return the bounds of the interquartile mean of a method."""
        over = "test images and retrainings of these tasks"
        return Interval(float(self.iqm.low[place]), float(self.iqm.high[place]), over)

    @property
    def said_of_mean(self) -> str:
        """Return a sentence where the interquartile mean is the mean; else nothing."""
        if self.n_runs >= FEWEST_RUNS:
            return ""
        return f"Of {self.n_runs} runs of each method, the interquartile mean is the mean."

    @property
    def said_of_spread(self) -> str:
        """Return a sentence where the bounds are not known; else nothing."""
        return f"A dash: on a task {ONE_RUN}." if np.isnan(self.first).any() else ""


def over_tasks(tasks: Mapping[str, TaskDraws]) -> OverTasks | None:
    """Return the methods that have runs on every task; None for fewer than two tasks or no method.

    Args:
        tasks: As `draw_tasks` gives them.
    """
    known = {task: drawn for task, drawn in tasks.items() if drawn.labels}
    names = list(dict.fromkeys(label for drawn in tasks.values() for label in drawn.labels))
    shared = [name for name in names if all(name in drawn.labels for drawn in known.values())]
    if len(known) < 2 or not shared:
        return None
    parts = list(known.values())
    # Each task weighs the same, however many runs it has.
    evenly = np.concatenate([np.full(n := task.observed.shape[1], 1 / n) for task in parts])
    weights = np.concatenate([task.weights for task in parts], axis=1)
    observed = {name: _scores(parts, name, drawn=False) for name in shared}
    drawn = {name: _scores(parts, name, drawn=True) for name in shared}
    values = np.array([interquartile_mean(observed[name], evenly) for name in shared])
    order = np.lexsort((np.array(shared), -values)).tolist()
    methods = [shared[index] for index in order]
    iqm = np.stack([interquartile_mean(drawn[name], weights) for name in methods], axis=-1)
    profiles = np.stack(
        [performance_profile(drawn[name], weights, THRESHOLDS) for name in methods], axis=1
    )
    known_spread = all(task.is_repeated for task in parts)
    seen = [performance_profile(observed[name], evenly, THRESHOLDS) for name in methods]
    labels = (label for task in tasks.values() for label in (*task.labels, *task.left_out))
    return OverTasks(
        tasks=tuple(known),
        methods=tuple(methods),
        n_runs=len(evenly),
        iqm=_with_bounds(values[order], iqm, known_spread),
        first=chances_of_first(iqm) if known_spread else np.full(len(methods), np.nan),
        profiles=_with_bounds(np.array(seen), profiles, known_spread),
        left_out=tuple(dict.fromkeys(label for label in labels if label not in shared)),
    )


def over_tasks_text(over: OverTasks) -> list[Part]:
    """Return the methods over tasks as text."""
    named = [int(np.argmin(np.abs(THRESHOLDS - tau))) for tau in _NAMED]
    heads = ("method", "IQM, 95 %", "first", *(f"> {100 * tau:.0f}" for tau in _NAMED))
    cells = [
        (
            name,
            with_bounds(float(over.iqm.values[i]), over.interval(i)),
            share(float(over.first[i])),
            *(f"{100 * over.profiles.values[i, place]:.0f} %" for place in named),
        )
        for i, name in enumerate(over.methods)
    ]
    lines: list[Part] = [
        f"Over {len(over.tasks)} tasks, all {over.n_runs} runs of a method together. {UNIT}"
    ]
    if over.left_out:
        lines.append(f"Left out, as they lack runs of a task: {', '.join(over.left_out)}.")
    return [
        *lines,
        "",
        Table(heads, cells),
        "",
        "IQM: mean of the middle half of the runs, each task weighing the same. First: share of "
        "draws in which a method's IQM is the highest. > 40: share of runs above 40. [ ]: 95 % "
        "over test images and retrainings of these tasks; of other tasks it says nothing.",
        *filter(None, (over.said_of_mean, over.said_of_spread)),
    ]


def _scores(
    tasks: Sequence[TaskDraws], name: str, *, drawn: bool
) -> Float[np.ndarray, "*draws runs"]:
    """Return the scores of all runs of a method, above chance."""
    of_tasks: list[np.ndarray] = []
    for task in tasks:
        place = task.labels.index(name)
        scores = task.scores[:, place] if drawn else task.observed[place]
        of_tasks.append(above_chance(scores, task.n_classes))
    return np.concatenate(of_tasks, axis=-1)


def _with_bounds(
    values: Float[np.ndarray, "methods ..."],
    drawn: Float[np.ndarray, "draws methods ..."],
    known_spread: bool,
) -> Drawn:
    if not known_spread:
        return Drawn(values, np.full_like(values, np.nan), np.full_like(values, np.nan))
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return Drawn(values, low, high)
