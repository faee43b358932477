"""`lmd-bench ranks`: methods over all data sets of a results folder, and who comes first where.

Tasks of one data set are no independent evidence: its factors, sizes and split seeds share images.
Their scores are averaged first, and tests and intervals are over data sets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import Row
from lmd_bench.core.seeding import derive_seed
from lmd_bench.leaderboard.answer import Answer
from lmd_bench.leaderboard.board import CHOSEN_ON_TEST, Leaderboard, build
from lmd_bench.leaderboard.draws import draw_tasks
from lmd_bench.leaderboard.first_places import FirstPlace, first_places, first_places_text
from lmd_bench.leaderboard.over_tasks import (
    THRESHOLDS,
    OverTasks,
    over_tasks,
    over_tasks_text,
)
from lmd_bench.leaderboard.studies.group import (
    StudyRows,
    by_table,
    by_task,
    called,
    group_studies,
    of_studies,
    repeated,
)
from lmd_bench.leaderboard.studies.predictions import Clusters, read_methods
from lmd_bench.leaderboard.studies.rules import SelectionRule
from lmd_bench.leaderboard.tables.text import Part, Table, bounds, p_value, shown
from lmd_bench.stats.aggregates import (
    elo,
    improvability,
    improvement_probability,
    mean_win_rates,
    over_datasets,
)
from lmd_bench.stats.intervals import Interval
from lmd_bench.stats.metrics import PRIMARY
from lmd_bench.stats.ranks import (
    FEWEST_TASKS,
    Differences,
    Scores,
    average_ranks,
    differences,
    least_adjusted_p,
    win_rates,
)
from lmd_bench.store.store import Store

_WIDTH = 60  # of the picture's axis; less where long names leave less of 80 columns
_TOGETHER = "not told apart"
# name -> its head in tables, whether in percent
_AGGREGATES = {
    "rank": ("rank", False),
    "win_rate": ("wins %", True),
    "elo": ("Elo", False),
    "improvability": ("improvable %", True),
    "improvement_probability": ("P(better) %", True),
}
# of a CSV -> frame
PARTS = {"methods": "rows", "runs": "runs", "iqm": "over_tasks", "profiles": "profiles"}


@dataclass(frozen=True, eq=False)
class Aggregate:
    """One number of each method over data sets, and its 95 % bounds by drawing data sets anew."""

    values: Float[np.ndarray, " methods"]
    low: Float[np.ndarray, " methods"]  # NaN below six data sets
    high: Float[np.ndarray, " methods"]


@dataclass(frozen=True, eq=False)
class Ranking:
    """Methods over data sets, best average rank first."""

    tasks: tuple[str, ...]
    datasets: tuple[str, ...]
    methods: tuple[str, ...]
    scores: Scores  # data sets x methods, mean over the tasks of each data set
    aggregates: dict[str, Aggregate]
    tests: Differences | None  # None: too few data sets or methods
    left_out: tuple[str, ...]  # methods without a score on some task

    @property
    def ranks(self) -> Float[np.ndarray, " methods"]:
        """Return the mean rank of each method over data sets."""
        return self.aggregates["rank"].values


def ranks(
    store: Store,
    rows: Sequence[Row],
    rule: SelectionRule,
    clusters: Clusters | None = None,
    study: str = "",
) -> Answer:
    """Return the methods over data sets and over tasks, and how sure each first place is.

    Args:
        store: Where the logits lie.
        rows: Of any number of studies.
        rule: What selects the configuration of each study.
        clusters: Lesions or patients of the images; None: those stored with the logits.
        study: Only studies whose id holds this text.

    Raises:
        UserError: no method has a score on every task, or no study has such an id.
    """
    rows = of_studies(rows, study)
    studies = group_studies(rows)
    ranking = rank(build(rows, rule), run_frame(studies, rule))
    methods = {
        task: read_methods(store, members, rule) for task, members in by_table(studies).items()
    }
    draws = draw_tasks(methods, clusters)
    places, over = first_places(draws), over_tasks(draws)
    frame = pd.DataFrame({"method": ranking.methods})
    for name, aggregate in ranking.aggregates.items():
        frame[name] = aggregate.values
        frame[f"{name}_low"], frame[f"{name}_high"] = aggregate.low, aggregate.high
    frames = {"rows": frame, "runs": run_frame(studies, rule)}
    frames |= {
        "over_tasks": over.frame if over else pd.DataFrame(columns=["method"]),
        "profiles": over.profile_frame if over else pd.DataFrame(columns=["method"]),
    }
    return Answer(
        {name: of.assign(rule=rule.name, watermark=rule.watermark) for name, of in frames.items()},
        lambda: [
            *_over_datasets(ranking, rule),
            *(["", *over_tasks_text(over)] if over else []),
            "",
            *first_places_text(places),
        ],
        rule,
        data=_data(ranking, places) | {"over_tasks": _over_tasks_data(over)},
    )


def run_frame(studies: Sequence[StudyRows], rule: SelectionRule) -> pd.DataFrame:
    """Return one line per run of each study's selected configuration: its error on test.

    The columns are those that tools for benchmarks over many tasks read: method, task, seed and
    error, which is 1 less balanced accuracy.
    """
    score = f"test_{PRIMARY.name}"
    lines = [
        (called(members), study.task, study.rows[0]["dataset"], seed, 1 - row[score])
        for of_task in by_task(studies).values()
        for members in repeated(of_task)
        for study in members
        for seed, row in study.ok_runs(study.selected(rule)).items()
        if row[score] is not None
    ]
    return pd.DataFrame(lines, columns=pd.Index(["method", "task", "dataset", "seed", "error"]))


def rank(board: Leaderboard, runs: pd.DataFrame | None = None) -> Ranking:
    """Return the ranking of the methods that have a score on every task of a leaderboard.

    Args:
        board: Of any number of tasks.
        runs: As `run_frame` gives them; None: no probabilities of improvement.

    Raises:
        UserError: there is no such method.
    """
    matrix = pd.pivot_table(
        board.frame,
        index=["dataset", "task"],
        columns="label",
        values=f"test_{PRIMARY.name}",
        sort=False,
    )
    complete = matrix.dropna(axis=1)
    if complete.empty:
        raise UserError(
            "No method has a confirmed score on every task of these results, so nothing can be "
            "ranked; name a folder whose tasks have methods in common."
        )
    of_datasets = complete.groupby(level="dataset", sort=False).mean()
    scores = of_datasets.to_numpy(dtype=np.float64)
    order = np.lexsort((complete.columns.to_numpy(dtype=str), average_ranks(scores)))
    scores, names = scores[:, order], [str(complete.columns[index]) for index in order]
    datasets = tuple(map(str, of_datasets.index))
    enough = len(datasets) >= FEWEST_TASKS and len(names) > 1
    return Ranking(
        tasks=tuple(str(task) for _, task in complete.index),
        datasets=datasets,
        methods=tuple(names),
        scores=scores,
        aggregates=_aggregates(scores, _chances(runs, datasets, names), enough),
        tests=differences(scores) if enough else None,
        left_out=tuple(str(name) for name in matrix.columns if name not in complete.columns),
    )


def picture(ranking: Ranking) -> list[str]:
    """Return the critical-difference picture as text: an axis of ranks, methods, and bars."""
    width = max(len(name) for name in (*ranking.methods, _TOGETHER))
    axis_width = min(_WIDTH, max(10, 80 - width - len("  ● 10.00")))
    last = len(ranking.methods)

    def column(value: float) -> int:
        return round((value - 1) / max(last - 1, 1) * axis_width)

    axis = ["·"] * (axis_width + 1)
    for tick in range(1, last + 1):
        axis[column(float(tick))] = "┼"
    lines = [f"{'rank':>{width}}  1{last:>{axis_width}}", f"{'':>{width}}  {''.join(axis)}"]
    for name, value in zip(ranking.methods, ranking.ranks.tolist(), strict=True):
        lines.append(f"{name:>{width}}  {' ' * column(value)}● {value:.2f}")
    for clique in ranking.tests.cliques if ranking.tests else ():
        start, end = (column(float(ranking.ranks[index])) for index in (clique[0], clique[-1]))
        lines.append(f"{_TOGETHER:>{width}}  {' ' * start}{'━' * (end - start + 1)}")
    return lines


def _chances(
    runs: pd.DataFrame | None, datasets: Sequence[str], names: Sequence[str]
) -> Float[np.ndarray, "datasets methods"]:
    """Return how likely a run of a method beats one of another, over the tasks of a data set."""
    if runs is None:
        return np.full((len(datasets), len(names)), np.nan)
    # Labels of the leaderboard say that a rule looked at test; runs have a column that does.
    names = [name.removesuffix(CHOSEN_ON_TEST) for name in names]
    chances: list[np.ndarray] = []
    for dataset in datasets:
        of_tasks = [
            [(1 - part.loc[part["method"] == name, "error"]).tolist() for name in names]
            for _, part in runs[runs["dataset"] == dataset].groupby("task", sort=False)
        ]
        chances.append(improvement_probability(of_tasks))
    return np.array(chances)


def _aggregates(scores: Scores, chances: np.ndarray, enough: bool) -> dict[str, Aggregate]:
    statistics = {
        "rank": lambda drawn: average_ranks(scores[drawn]),
        "win_rate": lambda drawn: mean_win_rates(scores[drawn]),
        "elo": lambda drawn: elo(scores[drawn]),
        "improvability": lambda drawn: improvability(scores[drawn]),
        "improvement_probability": lambda drawn: chances[drawn].mean(axis=0),
    }
    everything = np.arange(len(scores))
    unknown = np.full(scores.shape[1], np.nan)
    found: dict[str, Aggregate] = {}
    for name, statistic in statistics.items():
        generator = np.random.default_rng(derive_seed(0, "data sets"))
        low, high = (
            over_datasets(statistic, len(scores), generator) if enough else (unknown, unknown)
        )
        found[name] = Aggregate(statistic(everything), low, high)
    return found


def _over_datasets(ranking: Ranking, rule: SelectionRule) -> list[Part]:
    n, n_tasks, n_methods = len(ranking.datasets), len(ranking.tasks), len(ranking.methods)
    tasks = "" if n_tasks == n else f" (mean over their {n_tasks} tasks first)"
    lines: list[Part] = [
        f"Over {n} data set{'s' if n > 1 else ''}{tasks} by test balanced accuracy, configurations "
        f"selected by {rule.name}.",
    ]
    if ranking.left_out:
        lines.append(f"Left out, as they lack a task: {', '.join(ranking.left_out)}.")
    cells = [
        (name, *(_aggregate(key, of, index) for key, of in ranking.aggregates.items()))
        for index, name in enumerate(ranking.methods)
    ]
    header = ("method", *(head for head, _ in _AGGREGATES.values()))
    lines += [
        "",
        Table(header, cells),
        "",
        "Wins: share of data sets and other methods beaten. Elo: Bradley-Terry strengths, mean "
        "1000, 400 apart is ten to one. Improvable: mean share of its error that the best method "
        "of a data set does not make. P(better): chance that a run beats one of another method.",
    ]
    if ranking.tests is None:
        few = (
            f"tests and intervals take at least {FEWEST_TASKS} data sets, and {n} came; tasks of "
            "one data set are not independent"
        )
        lines.append(f"No method is tested: {few if n_methods > 1 else 'there is only one'}.")
        return lines
    lines.append("[ ]: 95 % by drawing the data sets anew.")
    return [*lines, *_tests(ranking, ranking.tests), "", *picture(ranking)]


def _aggregate(name: str, aggregate: Aggregate, index: int) -> str:
    value, in_percent = float(aggregate.values[index]), _AGGREGATES[name][1]
    interval = Interval(float(aggregate.low[index]), float(aggregate.high[index]), "")
    if in_percent:
        text = shown(value)
        known = bounds(interval)
    else:
        digits = 0 if name == "elo" else 2
        text = f"{value:.{digits}f}"
        known = f"[{interval.low:.{digits}f}, {interval.high:.{digits}f}]"
    return text if isnan(interval.low) else f"{text} {known}"


def _tests(ranking: Ranking, tests: Differences) -> list[str]:
    n, n_methods = ranking.scores.shape
    lines: list[str] = []
    if not isnan(tests.friedman):
        chance = p_value(tests.friedman_p)
        lines.append(f"Friedman: chi-squared {tests.friedman:.2f}, p {chance} that all are equal.")
    differ = [
        f"{ranking.methods[pair.first]} > {ranking.methods[pair.second]} ({p_value(pair.p_holm)})"
        for pair in tests.pairs
        if pair.p_holm <= 0.05
    ]
    lines.append(
        "Pairs that differ (Wilcoxon's signed ranks, exact; Holm over "
        f"{len(tests.pairs)} pairs): {', '.join(differ) or 'none'}."
    )
    least = least_adjusted_p(n, n_methods)
    if least > 0.05:
        lines.append(
            f"With {n} data sets and {n_methods} methods no pair can differ: the smallest "
            f"possible p is {p_value(least)}."
        )
    return lines


def _data(ranking: Ranking, places: dict[str, FirstPlace]) -> dict[str, Any]:
    wins = win_rates(ranking.scores)
    tests = ranking.tests
    return {
        "tasks": ranking.tasks,
        "datasets": ranking.datasets,
        "methods": ranking.methods,
        "left_out": ranking.left_out,
        "scores": ranking.scores.tolist(),
        "average_ranks": ranking.ranks.tolist(),
        "win_rates": _plain(wins),
        "aggregates": {
            name: {part: _plain(value) for part, value in vars(aggregate).items()}
            for name, aggregate in ranking.aggregates.items()
        },
        "friedman": None
        if tests is None or isnan(tests.friedman)
        else {"chi_squared": tests.friedman, "p": tests.friedman_p},
        "pairs": None if tests is None else [vars(pair) for pair in tests.pairs],
        "cliques": None if tests is None else tests.cliques,
        "first_places": {
            task: vars(place) | {"chances": _plain(np.array(place.chances))}
            for task, place in places.items()
        },
    }


def _over_tasks_data(over: OverTasks | None) -> dict[str, Any] | None:
    if over is None:
        return None
    return {
        "tasks": over.tasks,
        "methods": over.methods,
        "left_out": over.left_out,
        "n_runs": over.n_runs,
        "iqm": {name: _plain(values) for name, values in vars(over.iqm).items()},
        "first": _plain(over.first),
        "thresholds": THRESHOLDS.tolist(),
        "profiles": {name: _plain(values) for name, values in vars(over.profiles).items()},
    }


def _plain(values: np.ndarray) -> Any:
    """Return an array as JSON can hold it: NaN is null."""
    plain: Any = values.astype(object)
    plain[np.isnan(values)] = None
    return plain.tolist()
