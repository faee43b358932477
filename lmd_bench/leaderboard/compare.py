"""Methods of one task compared on the same test images, by runs of the same seeds.

A difference is that of the first method less the other: above 0, the first is better. A method is
judged by the mean over its seeds, for each image. The bootstrap interval is over the test images,
so it speaks of these trained models; the interval over seeds speaks of retrainings. Holm's
correction is over the methods that the first is compared with on one task.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int64

from lmd_bench.core.errors import UserError, unknown
from lmd_bench.core.seeding import derive_seed
from lmd_bench.leaderboard.answer import Answer
from lmd_bench.leaderboard.studies.group import StudyRows, by_task, group_studies
from lmd_bench.leaderboard.studies.predictions import (
    Clusters,
    Judged,
    clusters_of,
    read_judged,
    same_images,
)
from lmd_bench.leaderboard.studies.read import read_rows
from lmd_bench.leaderboard.studies.rules import SelectionRule
from lmd_bench.leaderboard.tables.text import Part, Table, bounds, p_value, percent
from lmd_bench.stats.bootstrap import mean_recall, resampled_recall
from lmd_bench.stats.intervals import (
    Interval,
    few_images_note,
    over_images,
    percentile_interval,
    seed_interval,
)
from lmd_bench.stats.paired import bootstrap_p, combined_p, holm, mcnemar, smallest_difference
from lmd_bench.store.store import Store

GROUPS = ("many", "medium", "few")
N_RESAMPLES = 10_000  # the smallest p is 2 / 10,001: low enough for Holm over 200 methods
_HEADER = ("against", "bal. acc.", "p Holm", "over seeds", "McNemar", "detects")


@dataclass(frozen=True)
class Difference:
    """A difference of mean recall over some classes, and its interval over the test images."""

    value: float  # NaN where no such class has images
    interval: Interval


@dataclass(frozen=True)
class Comparison:
    """One method against another on one task."""

    first: str
    other: str
    seeds: tuple[int, ...]  # that both have
    balanced_accuracy: Difference
    groups: dict[str, Difference]  # many, medium, few
    p: float  # of the difference in balanced accuracy, by the paired bootstrap
    p_holm: float
    over_seeds: Interval  # of the same difference, by Student's t over pairs of one seed
    only_first: float  # images that the first alone gets right, mean over seeds
    only_other: float
    mcnemar_p: float  # of accuracy; over seeds, twice the median
    mcnemar_p_holm: float
    detectable: float  # true difference that would be shown with 80 % power


@dataclass(frozen=True)
class TaskComparison:
    """The comparisons of one task, and what could not be compared."""

    task: str
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...]


def compare(
    first: Judged,
    others: Sequence[Judged],
    generator: np.random.Generator,
    clusters: Int64[np.ndarray, " images"] | None = None,
    n_resamples: int = N_RESAMPLES,
) -> tuple[list[Comparison], list[str]]:
    """Return the first method against each other one that shares a seed, and the names of the rest.

    Args:
        first: The method that the others are compared with.
        others: Methods of the same task.
        generator: Draws the bootstrap samples, the same for all methods.
        clusters: Lesion or patient of each image; None: each image is its own.
        n_resamples: Bootstrap samples.

    Raises:
        UserError: the methods were judged on different images.
    """
    for other in others:
        pair = f"{first.label} and {other.label}"
        same_images(pair, (first.image_ids, first.labels), (other.image_ids, other.labels))
    shared = [tuple(seed for seed in first.seeds if seed in other.seeds) for other in others]
    pairs = [(other, seeds) for other, seeds in zip(others, shared, strict=True) if seeds]
    unpaired = [other.label for other, seeds in zip(others, shared, strict=True) if not seeds]
    if not pairs:
        return [], unpaired
    columns = [
        method.of_seeds(seeds).mean(axis=1) for other, seeds in pairs for method in (first, other)
    ]
    right, n_classes = np.column_stack(columns), len(first.groups)
    samples = resampled_recall(first.labels, right, n_classes, generator, clusters, n_resamples)
    comparisons = [
        _comparison(first, other, seeds, samples[:, 2 * i] - samples[:, 2 * i + 1], clusters)
        for i, (other, seeds) in enumerate(pairs)
    ]
    return _corrected(comparisons), unpaired


def class_recall(judged: Judged, seeds: Sequence[int]) -> Float[np.ndarray, "seeds classes"]:
    """Return the recall of each class for each seed; NaN where a class has no image."""
    right = judged.of_seeds(seeds).astype(np.float64)
    n_images = np.bincount(judged.labels, minlength=len(judged.groups))
    hits = np.array([np.bincount(judged.labels, column, len(judged.groups)) for column in right.T])
    return np.where(n_images > 0, hits / np.maximum(n_images, 1), np.nan)


def compare_methods(
    root: str | Path,
    names: Sequence[str],
    *,
    with_all: bool = False,
    rule: SelectionRule,
    clusters: Clusters | None = None,
) -> list[TaskComparison]:
    """Return the first named method against the others, on each task that has it.

    Args:
        root: Folder of the results.
        names: Methods, or labels of the leaderboard where a method has several studies.
        with_all: Compare with every other confirmed method of the task.
        rule: What selects the configuration of each study.
        clusters: Lesions or patients of the images; None: those stored with the logits.

    Raises:
        UserError: unknown or too few methods, or none that was confirmed on one task.
    """
    if len(set(names)) < len(names) or not names or (len(names) == 1 and not with_all):
        raise UserError(
            "A comparison takes at least two different methods, or one and --with-all; "
            f"{len(names)} came."
        )
    store, rows = read_rows(root, rule)
    studies = group_studies(rows)
    _check_names(names, studies)
    tasks = [
        _compare_task(store, task, members, names, with_all, rule, clusters)
        for task, members in by_task(studies).items()
        if any(_is(study, names[0]) for study in members)
    ]
    if not any(one.comparisons for one in tasks):
        reasons = "; ".join(dict.fromkeys(note for one in tasks for note in one.notes))
        raise UserError(
            f"Nothing can be compared with {names[0]} in {root} ({reasons or 'no other method'}); "
            "name methods that were confirmed on one task with the same seeds."
        )
    return tasks


def comparison(
    results: str | Path,
    names: Sequence[str],
    *,
    with_all: bool = False,
    rule: SelectionRule,
    clusters: Clusters | None = None,
) -> Answer:
    """Return the comparison of `compare_methods` as a frame and a text.

    Raises:
        UserError: as `compare_methods`.
    """
    tasks = compare_methods(results, names, with_all=with_all, rule=rule, clusters=clusters)
    return Answer(
        {"rows": comparison_frame(tasks, rule)},
        lambda: comparison_text(tasks, rule),
        rule,
        tuple(note for task in tasks for note in task.notes),
    )


def comparison_frame(tasks: Sequence[TaskComparison], rule: SelectionRule) -> pd.DataFrame:
    """Return one line per pair and task; differences are fractions, intervals of 95 %."""
    lines = [_line(task.task, pair) for task in tasks for pair in task.comparisons]
    return pd.DataFrame(lines).assign(rule=rule.name, watermark=rule.watermark)


def comparison_text(tasks: Sequence[TaskComparison], rule: SelectionRule) -> list[Part]:
    """Return the comparisons for a terminal: one table per task, and what the numbers mean."""
    pair = next(pair for task in tasks for pair in task.comparisons)
    text: list[Part] = [
        f"{pair.first} less the other, in points of balanced accuracy on test; above 0, "
        f"{pair.first} is better.",
        f"Configurations selected by {rule.name}; runs paired by image and seed.",
        f"[ ]: 95 % over {pair.balanced_accuracy.interval.over}.",
    ]
    for task in tasks:
        text += ["", task.task]
        if task.comparisons:
            text.append(Table(_HEADER, [_cells(pair) for pair in task.comparisons]))
            groups = [[pair.other, *map(_points, _of_groups(pair))] for pair in task.comparisons]
            text += ["", Table(("against", *GROUPS), groups)]
        text += [f"Note: {note}." for note in task.notes]
    text += [
        "",
        f"p Holm: paired bootstrap ({N_RESAMPLES} samples), Holm's correction over the methods of "
        "a task. Over seeds: 95 % by Student's t over pairs of retrainings (number of seeds).",
        "Many, medium, few: recall of the classes of each third by training images. "
        "McNemar: exact, of accuracy, with Holm; over seeds twice the median p; (images that the "
        "first : the other alone gets right). Detects: the true difference that is shown with "
        "80 % power.",
    ]
    return text


def _comparison(
    first: Judged,
    other: Judged,
    seeds: tuple[int, ...],
    samples: Float[np.ndarray, "resamples classes"],
    clusters: Int64[np.ndarray, " images"] | None,
) -> Comparison:
    recall = class_recall(first, seeds) - class_recall(other, seeds)
    over = over_images(clusters)
    members = {name: np.array([group == name for group in first.groups]) for name in GROUPS}
    drawn = mean_recall(samples)
    tests = [
        mcnemar(a, b) for a, b in zip(first.of_seeds(seeds).T, other.of_seeds(seeds).T, strict=True)
    ]
    return Comparison(
        first=first.label,
        other=other.label,
        seeds=seeds,
        balanced_accuracy=_difference(recall, samples, over),
        groups={
            name: _difference(recall, samples, over, inside) for name, inside in members.items()
        },
        p=bootstrap_p(drawn),
        p_holm=float("nan"),
        over_seeds=seed_interval(mean_recall(recall).tolist()),
        only_first=float(np.mean([test.only_a for test in tests])),
        only_other=float(np.mean([test.only_b for test in tests])),
        mcnemar_p=combined_p([test.p for test in tests]),
        mcnemar_p_holm=float("nan"),
        detectable=smallest_difference(drawn),
    )


def _difference(
    recall: Float[np.ndarray, "seeds classes"],
    samples: Float[np.ndarray, "resamples classes"],
    over: str,
    classes: np.ndarray | None = None,
) -> Difference:
    value = float(mean_recall(recall, classes).mean())
    return Difference(value, percentile_interval(mean_recall(samples, classes), over))


def _corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    p, mcnemar_p = (
        holm([comparison.p for comparison in comparisons]),
        holm([comparison.mcnemar_p for comparison in comparisons]),
    )
    return [
        replace(comparison, p_holm=a, mcnemar_p_holm=b)
        for comparison, a, b in zip(comparisons, p, mcnemar_p, strict=True)
    ]


def _compare_task(
    store: Store,
    task: str,
    members: Sequence[StudyRows],
    names: Sequence[str],
    with_all: bool,
    rule: SelectionRule,
    clusters: Clusters | None,
) -> TaskComparison:
    wanted = [_study(name, members) for name in names]
    notes = [
        f"{name} has no study on {task}" for name, s in zip(names, wanted, strict=True) if not s
    ]
    chosen = [study for study in wanted if study is not None]
    if with_all:
        chosen += [study for study in members if study not in chosen]
    read = {study.label: read_judged(store, study, rule) for study in chosen}
    unread = [
        study.label
        for study in chosen
        if read[study.label] is None and (_named(study, names) or study.runs(study.selected(rule)))
    ]
    notes += [f"{label} has no confirmed logits of test on {task}" for label in unread]
    judged = [found for found in read.values() if found is not None]
    if not judged or chosen[0].label in unread:
        return TaskComparison(task, (), tuple(notes))
    first, others = judged[0], judged[1:]
    ids = clusters_of(first, clusters)
    generator = np.random.default_rng(derive_seed(0, "compare", task))
    pairs, unpaired = compare(first, others, generator, ids)
    notes += [note] if (note := few_images_note(first.labels)) else []
    notes += [f"{label} shares no seed with {first.label} on {task}" for label in unpaired]
    return TaskComparison(task, tuple(pairs), tuple(notes))


def _is(study: StudyRows, name: str) -> bool:
    return name in (study.label, study.method)


def _named(study: StudyRows, names: Sequence[str]) -> bool:
    return any(_is(study, name) for name in names)


def _study(name: str, members: Sequence[StudyRows]) -> StudyRows | None:
    matches = [study for study in members if _is(study, name)]
    if len(matches) > 1:
        labels = ", ".join(f"'{study.label}'" for study in matches)
        raise UserError(f"'{name}' has several studies on {matches[0].task}; name one: {labels}.")
    return matches[0] if matches else None


def _check_names(names: Sequence[str], studies: Sequence[StudyRows]) -> None:
    allowed = {study.method for study in studies} | {study.label for study in studies}
    for name in names:
        if name not in allowed:
            raise unknown("method", name, allowed)


def _cells(pair: Comparison) -> list[str]:
    images = f"({pair.only_first:.3g} : {pair.only_other:.3g})"
    return [
        pair.other,
        _points(pair.balanced_accuracy),
        p_value(pair.p_holm),
        f"{bounds(pair.over_seeds, '+')} ({len(pair.seeds)})",
        f"{p_value(pair.mcnemar_p_holm)} {images}",
        percent(pair.detectable),
    ]


def _of_groups(pair: Comparison) -> list[Difference]:
    return [pair.groups[name] for name in GROUPS]


def _points(difference: Difference) -> str:
    if isnan(difference.value):
        return "–"
    return f"{percent(difference.value, '+')} {bounds(difference.interval, '+')}"


def _line(task: str, pair: Comparison) -> dict[str, Any]:
    differences = {"balanced_accuracy": pair.balanced_accuracy} | {
        f"{group}_recall": difference for group, difference in pair.groups.items()
    }
    return {
        "task": task,
        "first": pair.first,
        "other": pair.other,
        "n_seeds": len(pair.seeds),
        **{
            f"{name}_{part}": value
            for name, difference in differences.items()
            for part, value in (
                ("difference", difference.value),
                ("low", difference.interval.low),
                ("high", difference.interval.high),
            )
        },
        "p": pair.p,
        "p_holm": pair.p_holm,
        "over_seeds_low": pair.over_seeds.low,
        "over_seeds_high": pair.over_seeds.high,
        "only_first_right": pair.only_first,
        "only_other_right": pair.only_other,
        "mcnemar_p": pair.mcnemar_p,
        "mcnemar_p_holm": pair.mcnemar_p_holm,
        "detectable": pair.detectable,
        "over": pair.balanced_accuracy.interval.over,
    }
