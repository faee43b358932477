"""Methods of one task compared on the same test images, by runs of the same seeds.

A difference is that of the first method less the other: above 0, the first is better. Its interval
and its p are over test images and retrainings together (`stats.joint`); what it is over each of the
two alone stands beside it. Holm's correction is over all comparisons that are shown, of all tasks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int64

from lmd_bench.core.errors import UserError, unknown
from lmd_bench.leaderboard.studies.group import (
    StudyRows,
    by_table,
    called,
    group_studies,
    of_studies,
    repeated,
)
from lmd_bench.leaderboard.studies.measure import (
    check_metric,
    direction,
    measure,
    measure_splits,
    quiet_note,
    splits_of,
)
from lmd_bench.leaderboard.studies.predictions import (
    Clusters,
    Judged,
    read_repeats,
    same_images,
    with_clusters,
)
from lmd_bench.leaderboard.studies.read import read_rows
from lmd_bench.leaderboard.studies.rules import SelectionRule
from lmd_bench.stats.claims import false_claims
from lmd_bench.stats.influence import class_means
from lmd_bench.stats.joint import Joint
from lmd_bench.stats.metrics import PRIMARY
from lmd_bench.stats.paired import combined_p, holm, mcnemar
from lmd_bench.store.store import Store

GROUPS = ("many_recall", "medium_recall", "few_recall")
USUAL = (PRIMARY.name, *GROUPS)


@dataclass(frozen=True)
class Comparison:
    """One method against another on one task."""

    first: str
    other: str
    seeds: tuple[int, ...]  # that both have; of several splits, on the first of them
    differences: Mapping[str, Joint]  # by metric; the first is tested
    only_first: float  # images that the first alone gets right, mean over seeds
    only_other: float
    mcnemar_p: float  # of accuracy, over these images alone
    n_tests: int = 1  # comparisons in the family that p_holm is corrected over
    p_holm: float = float("nan")
    claim_is_false: float = float("nan")  # that the better one here is the better one in truth

    @property
    def metric(self) -> str:
        """Return the name of the metric that is tested."""
        return next(iter(self.differences))

    @property
    def tested(self) -> Joint:
        """Return the difference that is tested."""
        return self.differences[self.metric]

    @property
    def detectable(self) -> float:
        """Return the true difference that Holm's first step would show with 80 % power."""
        return self.tested.detectable(self.n_tests)


@dataclass(frozen=True)
class TaskComparison:
    """The comparisons of one task, and what could not be compared."""

    task: str
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...]


def compare(
    first: Judged,
    others: Sequence[Judged],
    clusters: Int64[np.ndarray, " images"] | None = None,
    metrics: Sequence[str] = USUAL,
) -> tuple[list[Comparison], list[str]]:
    """Return the first method against each other one that shares a seed, and the names of the rest.

    Args:
        first: The method that the others are compared with.
        others: Methods of the same task, or of the same splits of a data set.
        clusters: Lesion or patient of each image; None: each image is its own. Several splits have
            their own.
        metrics: Whose differences are given; the first is tested.

    Raises:
        UserError: the methods were judged on different images, or no such metric.
    """
    shared = [splits_of((first, other)) for other in others]
    for pairs in shared:
        for (one, other), _ in pairs:
            pair = f"{one.label} and {other.label}"
            same_images(pair, (one.image_ids, one.labels), (other.image_ids, other.labels))
    comparisons = [
        _comparison(first, other, pairs, metrics, clusters)
        for other, pairs in zip(others, shared, strict=True)
        if pairs
    ]
    unpaired = [other.label for other, pairs in zip(others, shared, strict=True) if not pairs]
    return corrected(comparisons), unpaired


def corrected(family: Sequence[Comparison]) -> list[Comparison]:
    """Return comparisons with Holm's correction and chances of false claims, over all of them."""
    p_holm = holm([comparison.tested.p for comparison in family])
    n_tests = max(1, sum(not isnan(comparison.tested.p) for comparison in family))
    false = false_claims([comparison.tested for comparison in family])
    return [
        replace(comparison, p_holm=p, n_tests=n_tests, claim_is_false=chance)
        for comparison, p, chance in zip(family, p_holm, false, strict=True)
    ]


def class_recall(judged: Judged, seeds: Sequence[int]) -> Float[np.ndarray, "seeds classes"]:
    """Return the recall of each class for each seed; NaN where a class has no image."""
    return class_means(judged.labels, judged.of_seeds(seeds).astype(float), len(judged.groups))


def compare_methods(
    root: str | Path,
    names: Sequence[str],
    *,
    with_all: bool = False,
    rule: SelectionRule,
    clusters: Clusters | None = None,
    metric: str = PRIMARY.name,
    study: str = "",
) -> list[TaskComparison]:
    """Return the first named method against the others, on each task that has it.

    Args:
        root: Folder of the results.
        names: Methods, or labels of the leaderboard where a method has several studies.
        with_all: Compare with every other confirmed method of the task.
        rule: What selects the configuration of each study.
        clusters: Lesions or patients of the images; None: those stored with the logits.
        metric: That is compared; see `measure`.
        study: Studies whose id does not hold this text are left out.

    Raises:
        UserError: unknown or too few methods, or none that was confirmed on one task.
    """
    if len(set(names)) < len(names) or not names or (len(names) == 1 and not with_all):
        raise UserError(
            "A comparison takes at least two different methods, or one and --with-all; "
            f"{len(names)} came."
        )
    store, rows = read_rows(root, rule)
    studies = group_studies(of_studies(rows, study))
    _check_names(names, studies)
    check_metric(metric, _class_names(studies, names[0]))
    tasks = [
        _compare_task(store, task, members, names, with_all, rule, clusters, metric)
        for task, members in by_table(studies).items()
        if any(_is(study, names[0]) for study in members)
    ]
    family = iter(corrected([pair for task in tasks for pair in task.comparisons]))
    tasks = [
        replace(task, comparisons=tuple(next(family) for _ in task.comparisons)) for task in tasks
    ]
    if not any(task.comparisons for task in tasks):
        reasons = "; ".join(dict.fromkeys(note for task in tasks for note in task.notes))
        raise UserError(
            f"Nothing can be compared with {names[0]} in {root} ({reasons or 'no other method'}); "
            "name methods that were confirmed on one task with the same seeds."
        )
    return tasks


def _comparison(
    first: Judged,
    other: Judged,
    pairs: Sequence[tuple[Sequence[Judged], tuple[int, ...]]],
    metrics: Sequence[str],
    clusters: Int64[np.ndarray, " images"] | None,
) -> Comparison:
    """Return the comparison of two methods, given what they are on the splits that they share."""
    tests = [
        mcnemar(a, b)
        for (one, two), seeds in pairs
        for a, b in zip(one.of_seeds(seeds).T, two.of_seeds(seeds).T, strict=True)
    ]
    seeds, over_splits = pairs[0][1], bool(first.splits or other.splits)

    def difference(metric: str) -> Joint:
        sides = _less(first, other, metric)
        if over_splits:
            return measure_splits(sides, metric)
        return measure(sides, seeds, metric, clusters)

    return Comparison(
        first=first.label,
        other=other.label,
        seeds=seeds,
        differences={name: difference(name) for name in metrics},
        only_first=float(np.mean([test.only_a for test in tests])),
        only_other=float(np.mean([test.only_b for test in tests])),
        # Splits share images, so their tests are not of one sample.
        mcnemar_p=nan if over_splits else combined_p([test.p for test in tests]),
    )


def _less(first: Judged, other: Judged, metric: str) -> list[tuple[float, Judged]]:
    """Return the first less the other, or the other way round where lower is better."""
    turned = float(direction(metric))
    return [(turned, first), (-turned, other)]


def _compare_task(
    store: Store,
    task: str,
    members: Sequence[StudyRows],
    names: Sequence[str],
    with_all: bool,
    rule: SelectionRule,
    clusters: Clusters | None,
    metric: str,
) -> TaskComparison:
    wanted = [_studies(name, members) for name in names]
    notes = [
        f"{name} has no study on {task}" for name, s in zip(names, wanted, strict=True) if not s
    ]
    chosen = [studies for studies in wanted if studies]
    if with_all:
        chosen += [studies for studies in repeated(members) if studies not in chosen]
    read = {called(studies): read_repeats(store, studies, rule) for studies in chosen}
    unread = [
        called(studies)
        for studies in chosen
        if read[called(studies)] is None
        and any(_named(study, names) or study.runs(study.selected(rule)) for study in studies)
    ]
    notes += [f"{label} has no confirmed logits of test on {task}" for label in unread]
    judged = [with_clusters(found, clusters) for found in read.values() if found is not None]
    if not judged or called(chosen[0]) in unread:
        return TaskComparison(task, (), tuple(notes))
    first, others = judged[0], judged[1:]
    ids = first.clusters
    metrics = USUAL if metric == PRIMARY.name else (metric,)
    pairs, unpaired = compare(first, others, ids, metrics)
    notes += [note] if (note := quiet_note(first, ids)) else []
    notes += [f"{label} shares no seed with {first.label} on {task}" for label in unpaired]
    return TaskComparison(task, tuple(pairs), tuple(notes))


def _class_names(studies: Sequence[StudyRows], name: str) -> list[str]:
    rows = [row for study in studies if _is(study, name) for row in study.rows]
    return list(dict.fromkeys(cls for row in rows for cls in row["class_names"] or ()))


def _is(study: StudyRows, name: str) -> bool:
    return name in (study.label, study.method)


def _named(study: StudyRows, names: Sequence[str]) -> bool:
    return any(_is(study, name) for name in names)


def _studies(name: str, members: Sequence[StudyRows]) -> tuple[StudyRows, ...]:
    """Return the study of a name, or the repeats of one search; nothing where there is none."""
    matches = [study for study in members if _is(study, name)]
    groups = repeated(matches)
    if len(groups) > 1:
        labels = ", ".join(f"'{study.label}'" for study in matches)
        raise UserError(f"'{name}' has several studies on {matches[0].task}; name one: {labels}.")
    return groups[0] if groups else ()


def _check_names(names: Sequence[str], studies: Sequence[StudyRows]) -> None:
    allowed = {study.method for study in studies} | {study.label for study in studies}
    for name in names:
        if name not in allowed:
            raise unknown("method", name, allowed)
