"""`lmd-bench ranks`: methods over all tasks of a results folder, and the first place of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int64

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import Row
from lmd_bench.core.seeding import derive_seed
from lmd_bench.leaderboard.answer import Answer
from lmd_bench.leaderboard.board import Leaderboard, build
from lmd_bench.leaderboard.studies.group import by_task, group_studies
from lmd_bench.leaderboard.studies.predictions import Judged, clusters_of, read_judged, same_images
from lmd_bench.leaderboard.studies.rules import SelectionRule
from lmd_bench.leaderboard.tables.text import Part, Table, p_value, percent
from lmd_bench.stats.bootstrap import mean_recall, resampled_recall
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
N_RESAMPLES = 2000


@dataclass(frozen=True)
class FirstPlace:
    """The chance of each method of a task to come first, best first."""

    labels: tuple[str, ...]
    scores: tuple[float, ...]  # balanced accuracy, mean over the shared seeds
    chances: tuple[float, ...]
    n_seeds: int
    left_out: tuple[str, ...]  # methods without a seed that all the others have


@dataclass(frozen=True, eq=False)
class Ranking:
    """Methods over tasks, best average rank first."""

    tasks: tuple[str, ...]
    methods: tuple[str, ...]
    scores: Scores
    ranks: np.ndarray
    tests: Differences | None  # None: too few tasks or methods
    left_out: tuple[str, ...]  # methods without a score on some task


def ranks(store: Store, rows: Sequence[Row], rule: SelectionRule) -> Answer:
    """Return the ranking of methods over tasks, and how sure the first place of each task is.

    Raises:
        UserError: no method has a score on every task.
    """
    ranking = rank(build(rows, rule))
    places = first_places(store, rows, rule)
    wins = np.nanmean(win_rates(ranking.scores), axis=1) if len(ranking.methods) > 1 else np.nan
    frame = pd.DataFrame({"method": ranking.methods, "rank": ranking.ranks, "win_rate": wins})
    return Answer(
        {"rows": frame.assign(rule=rule.name, watermark=rule.watermark)},
        lambda: [*_over_tasks(ranking, rule), "", *_firsts(places)],
        rule,
        data=_data(ranking, places),
    )


def rank(board: Leaderboard) -> Ranking:
    """Return the ranking of the methods that have a score on every task of a leaderboard.

    Raises:
        UserError: there is no such method.
    """
    matrix = pd.pivot_table(
        board.frame, index="task", columns="label", values=f"test_{PRIMARY.name}", sort=False
    )
    complete = matrix.dropna(axis=1)
    if complete.empty:
        raise UserError(
            "No method has a confirmed score on every task of these results, so nothing can be "
            "ranked; name a folder whose tasks have methods in common."
        )
    scores = complete.to_numpy(dtype=np.float64)
    ranks = average_ranks(scores if PRIMARY.higher_is_better else -scores)
    order = np.lexsort((complete.columns.to_numpy(dtype=str), ranks))
    scores, names = scores[:, order], [str(complete.columns[index]) for index in order]
    enough = len(scores) >= FEWEST_TASKS and len(names) > 1
    return Ranking(
        tasks=tuple(map(str, complete.index)),
        methods=tuple(names),
        scores=scores,
        ranks=ranks[order],
        tests=differences(scores) if enough else None,
        left_out=tuple(str(name) for name in matrix.columns if name not in complete.columns),
    )


def first_places(store: Store, rows: Sequence[Row], rule: SelectionRule) -> dict[str, FirstPlace]:
    """Return how sure the first place is, of each task with two methods whose logits were kept."""
    found: dict[str, FirstPlace] = {}
    for task, members in by_task(group_studies(rows)).items():
        methods = [j for study in members if (j := read_judged(store, study, rule)) is not None]
        if len(methods) > 1:
            generator = np.random.default_rng(derive_seed(0, "first place", task))
            found[task] = first_place(methods, generator, clusters_of(methods[0]))
    return found


def picture(ranking: Ranking) -> list[str]:
    """Return the critical-difference picture as text: an axis of ranks, methods, and bars."""
    width = max(len(name) for name in (*ranking.methods, "no difference"))
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
        lines.append(f"{'no difference':>{width}}  {' ' * start}{'━' * (end - start + 1)}")
    return lines


def first_place(
    methods: Sequence[Judged],
    generator: np.random.Generator,
    clusters: Int64[np.ndarray, " images"] | None = None,
    n_resamples: int = N_RESAMPLES,
) -> FirstPlace:
    """Return how often each method of a task comes first.

    Args:
        methods: Of one task.
        generator: Draws images and seeds.
        clusters: Lesion or patient of each image; None: each image is its own.
        n_resamples: Draws.

    Raises:
        UserError: the methods were judged on different images.
    """
    for one, other in zip(methods, methods[1:], strict=False):
        pair = f"{one.label} and {other.label}"
        same_images(pair, (one.image_ids, one.labels), (other.image_ids, other.labels))
    kept, seeds = _with_shared_seeds(methods)
    first = kept[0]
    right = np.concatenate([method.of_seeds(seeds) for method in kept], axis=1).astype(np.float64)
    samples = resampled_recall(
        first.labels, right, len(first.groups), generator, clusters, n_resamples
    )
    drawn = mean_recall(samples).reshape(n_resamples, len(kept), len(seeds))
    weights = _seed_weights(len(seeds), n_resamples, generator)
    chances = chances_of_first(np.einsum("rms,rs->rm", drawn, weights))
    observed = _balanced_accuracy(first, right).reshape(len(kept), len(seeds)).mean(axis=1)
    order = np.lexsort((-chances, -observed)).tolist()
    return FirstPlace(
        labels=tuple(kept[index].label for index in order),
        scores=tuple(float(observed[index]) for index in order),
        chances=tuple(float(chances[index]) for index in order),
        n_seeds=len(seeds),
        left_out=tuple(method.label for method in methods if method not in kept),
    )


def chances_of_first(
    scores: Float[np.ndarray, "draws methods"],
) -> Float[np.ndarray, " methods"]:
    """Return the share of draws in which each method is highest; equal ones share the draw."""
    best = scores >= scores.max(axis=1, keepdims=True) - 1e-12  # sums of another order round so
    return (best / best.sum(axis=1, keepdims=True)).mean(axis=0)


def _over_tasks(ranking: Ranking, rule: SelectionRule) -> list[Part]:
    n_tasks, n_methods = ranking.scores.shape
    wins = win_rates(ranking.scores)
    lines: list[Part] = [
        f"Average rank over {n_tasks} task{'s' if n_tasks > 1 else ''} by test balanced accuracy, "
        f"configurations selected by {rule.name}. Tasks of one data set are not independent.",
    ]
    if ranking.left_out:
        lines.append(f"Left out, as they lack a task: {', '.join(ranking.left_out)}.")
    cells = [
        (name, f"{value:.2f}", "–" if n_methods == 1 else percent(float(np.nanmean(wins[index]))))
        for index, (name, value) in enumerate(
            zip(ranking.methods, ranking.ranks.tolist(), strict=True)
        )
    ]
    lines += ["", Table(("method", "rank", "wins %"), cells), ""]
    if ranking.tests is None:
        few = f"tests take at least {FEWEST_TASKS} tasks, and {n_tasks} came"
        lines.append(f"No method is tested: {few if n_methods > 1 else 'there is only one'}.")
        return lines
    return [*lines, *_tests(ranking, ranking.tests), "", *picture(ranking)]


def _tests(ranking: Ranking, tests: Differences) -> list[str]:
    n_tasks, n_methods = ranking.scores.shape
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
    least = least_adjusted_p(n_tasks, n_methods)
    if least > 0.05:
        lines.append(
            f"With {n_tasks} tasks and {n_methods} methods no pair can differ: the smallest "
            f"possible p is {p_value(least)}."
        )
    return lines


def _firsts(places: dict[str, FirstPlace]) -> list[Part]:
    lines: list[Part] = [
        "How sure the first place is: share of draws of test images (stratified by class, each as "
        "if of its own lesion) and of seeds in which a method comes first."
    ]
    for task, place in places.items():
        cells = [
            (label, percent(score), f"{100 * chance:.0f} %")
            for label, score, chance in zip(place.labels, place.scores, place.chances, strict=True)
        ]
        seeds = f"{place.n_seeds} seed{'s' if place.n_seeds > 1 else ''}"
        lines += ["", f"{task}, {seeds}", Table(("method", "bal. acc.", "first"), cells)]
        if place.left_out:
            lines.append(f"Left out, as they share no seed: {', '.join(place.left_out)}.")
    return lines if places else ["No task has two methods whose logits of test were kept."]


def _data(ranking: Ranking, places: dict[str, FirstPlace]) -> dict[str, Any]:
    wins = win_rates(ranking.scores)
    tests = ranking.tests
    return {
        "tasks": ranking.tasks,
        "methods": ranking.methods,
        "left_out": ranking.left_out,
        "scores": ranking.scores.tolist(),
        "average_ranks": ranking.ranks.tolist(),
        "win_rates": [[None if isnan(v) else v for v in row] for row in wins.tolist()],
        "friedman": None
        if tests is None or isnan(tests.friedman)
        else {"chi_squared": tests.friedman, "p": tests.friedman_p},
        "pairs": None if tests is None else [vars(pair) for pair in tests.pairs],
        "cliques": None if tests is None else tests.cliques,
        "first_places": {task: vars(place) for task, place in places.items()},
    }


def _with_shared_seeds(methods: Sequence[Judged]) -> tuple[list[Judged], tuple[int, ...]]:
    """Return the methods that share seeds, and these: those of the most methods stay."""
    commonest = max(methods, key=lambda m: sum(m.seeds == other.seeds for other in methods))
    kept = [method for method in methods if set(method.seeds) & set(commonest.seeds)]
    shared = set.intersection(*(set(method.seeds) for method in kept))
    if not shared:
        kept = [method for method in kept if set(method.seeds) >= set(commonest.seeds)]
        shared = set(commonest.seeds)
    return kept, tuple(sorted(shared))


def _seed_weights(
    n_seeds: int, n_resamples: int, generator: np.random.Generator
) -> Float[np.ndarray, "resamples seeds"]:
    """Return the weights of S - 1 seeds drawn of S, as for clusters of images."""
    n_draws = max(n_seeds - 1, 1)
    counts = generator.multinomial(n_draws, [1 / n_seeds] * n_seeds, size=n_resamples)
    return counts / n_draws


def _balanced_accuracy(
    method: Judged, right: Float[np.ndarray, "images columns"]
) -> Float[np.ndarray, " columns"]:
    present = np.unique(method.labels)
    return np.mean([right[method.labels == index].mean(axis=0) for index in present], axis=0)
