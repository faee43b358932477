"""A metric of runs on the same test images, or of a weighted sum of runs, with its intervals.

All intervals of scores and of differences are made here: those of `compare`, `intervals`, `ablate`,
`transfer`, `tuning` and `imbalance`. A difference is measured as `[(1, first), (-1, other)]`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int64

from lmd_bench.core.errors import unknown
from lmd_bench.leaderboard.studies.predictions import Judged
from lmd_bench.stats.bootstrap import cluster_numbers, mean_recall
from lmd_bench.stats.calibration import Estimate
from lmd_bench.stats.influence import (
    Influence,
    class_means,
    jackknife_influence,
    mean_weights,
    quiet_classes,
    recall_influence,
    with_tails,
)
from lmd_bench.stats.intervals import over_images
from lmd_bench.stats.joint import Joint, joint
from lmd_bench.stats.metrics import PRIMARY, Metric
from lmd_bench.stats.splits import over_splits, shared_images
from lmd_bench.store.from_logits import weights_of
from lmd_bench.store.metrics import known_metrics

OF_CLASS = "recall:"  # before the name of a class: the recall of that class alone
Lesions = Int64[np.ndarray, " images"] | None
Sides = Sequence[tuple[float, Judged]]


def measure(
    sides: Sides, seeds: Sequence[int], metric: str = PRIMARY.name, lesions: Lesions = None
) -> Joint:
    """Return the weighted sum of a metric of some models, with its intervals of 95 %.

    Args:
        sides: Weights and models, all judged on the same images.
        seeds: Retrainings that all of them have; each gives one value of the sum.
        metric: One of `known_metrics`, or `recall:CLASS`.
        lesions: Lesion or patient of each image; None: each image is its own.

    Raises:
        UserError: no such metric or class.
    """
    by_seed, influence = _moved(sides, seeds, metric, lesions)
    return _joined(sides[0][1], seeds, by_seed, influence, lesions)


def measure_alone(judged: Judged, metric: str = PRIMARY.name) -> Joint:
    """Return a metric of one method, over its splits where it has several, as `measure` does."""
    if judged.splits:
        return measure_splits([(1.0, judged)], metric)
    return measure([(1.0, judged)], judged.seeds, metric, judged.clusters)


def _moved(
    sides: Sides, seeds: Sequence[int], metric: str, lesions: Lesions
) -> tuple[list[float], Influence]:
    """Return the sum for each retraining, and how test lesions move it."""
    first = sides[0][1]
    classes = _classes(first, metric)
    if classes is not None:
        values = np.sum([weight * judged.of_seeds(seeds) for weight, judged in sides], axis=0)
        weights = mean_weights(first.labels, len(classes), classes)
        means = class_means(first.labels, values, len(classes))
        influence = recall_influence(first.labels, values, weights, lesions)
        if len(sides) == 1:
            influence = with_tails(influence, first.labels, values.mean(axis=1), weights, lesions)
        return mean_recall(means, classes).tolist(), influence
    parts = [(weight, *_jackknifed(judged, seeds, metric, lesions)) for weight, judged in sides]
    by_seed = np.sum([weight * scores for weight, scores, _ in parts], axis=0)
    units = np.sum([weight * moved.of_units for weight, _, moved in parts], axis=0)
    return by_seed.tolist(), Influence(units, parts[0][2].df)


def measure_splits(sides: Sides, metric: str = PRIMARY.name) -> Joint:
    """Return `measure` over the splits, and in each over the retrainings, that all models have.

    Splits take the place of retrainings. A lesion that is in the test set of several moves the
    score of each, and by how much is known of recalls; of other metrics, the share of images that
    two test sets have in common stands for it (`stats.splits`). Jeffreys' limits of a class are
    those of the lesions of all test sets.

    Args:
        sides: Weights and models, each over several splits of one data set.
        metric: As `measure` takes it.

    Raises:
        UserError: no such metric or class.
    """
    parts = splits_of([judged for _, judged in sides])
    of_splits = [
        (list(zip([weight for weight, _ in sides], judged, strict=True)), seeds)
        for judged, seeds in parts
    ]
    if not is_recall(metric):
        scores = [measure(s, seeds, metric, s[0][1].clusters) for s, seeds in of_splits]
        tests = [(judged[0].image_ids, judged[0].labels) for judged, _ in parts]
        return over_splits(scores, shared_images(tests, len(sides[0][1].groups)))
    names = sorted({name for (first, *_), _ in parts for name in first.lesions or first.image_ids})
    place = {name: number for number, name in enumerate(names)}
    pulls, values, df = np.zeros((len(names), len(parts))), list[float](), 0.0
    for number, (of_split, seeds) in enumerate(of_splits):
        first = of_split[0][1]
        by_seed, influence = _moved(of_split, seeds, metric, first.clusters)
        # The influence has a unit for each cluster, in the order of their sorted names.
        units = sorted(set(first.lesions)) if first.lesions else first.image_ids
        pulls[[place[unit] for unit in units], number] = influence.of_units.mean(axis=1)
        values.append(float(np.mean(by_seed)))
        df = max(df, influence.df)
    influence = Influence(pulls, df)
    if len(sides) == 1:
        labels, right, lesions = _of_all_splits(sides[0][1])
        n_classes = len(sides[0][1].groups)
        weights = mean_weights(labels, n_classes, _classes(sides[0][1], metric))
        # The pulls know best what varies within each split; a quiet class has next to none.
        if weights[quiet_classes(labels, right, n_classes, lesions)].any():
            influence = with_tails(influence, labels, right, weights, lesions)
    over = over_images(sides[0][1].clusters)
    return joint(values, influence, over, "splits, each with its searches and runs")


def _of_all_splits(
    judged: Judged,
) -> tuple[Int64[np.ndarray, " images"], Float[np.ndarray, " images"], Lesions]:
    """Return label, how right on average and lesion of the test images of all splits together.

    An image that is in several test sets is there several times, as one lesion.
    """
    labels = np.concatenate([split.labels for split in judged.splits])
    right = np.concatenate([split.right.mean(axis=1) for split in judged.splits])
    names = [name for split in judged.splits for name in split.lesions or split.image_ids]
    return labels, right, cluster_numbers(names)


def splits_of(models: Sequence[Judged]) -> list[tuple[list[Judged], tuple[int, ...]]]:
    """Return what models are on each split that all of them have, and the seeds they share there.

    A model of one split is that split; splits on which they share no seed are left out.
    """
    by_split = [{part.split: part for part in model.splits or (model,)} for model in models]
    shared = [name for name in by_split[0] if all(name in of_model for of_model in by_split)]
    found: list[tuple[list[Judged], tuple[int, ...]]] = []
    for name in shared:
        parts = [of_model[name] for of_model in by_split]
        seeds = tuple(s for s in parts[0].seeds if all(s in part.seeds for part in parts))
        found += [(parts, seeds)] if seeds else []
    return found


def _joined(
    judged: Judged,
    seeds: Sequence[int],
    by_seed: list[float],
    influence: Influence,
    lesions: Lesions,
) -> Joint:
    """Return the joint interval: over retrainings, or over searches where there are several.

    Retrainings of one search share its configuration. So each search counts as one draw, with the
    mean of its retrainings.
    """
    searches = np.array(judged.searches_of(seeds))
    names = list(dict.fromkeys(searches.tolist()))
    if len(names) < 2:
        return joint(by_seed, influence, over_images(lesions))
    inside = [searches == name for name in names]
    units = np.column_stack([influence.of_units[:, of].mean(axis=1) for of in inside])
    by_search = [float(np.array(by_seed)[of].mean()) for of in inside]
    means = Influence(units, influence.df, influence.sides)
    return joint(by_search, means, over_images(lesions), "searches, each with its retrainings")


def measure_by(
    judged: Judged,
    score: Callable[[Int64[np.ndarray, " kept"], Float[np.ndarray, "kept classes"]], float],
    lesions: Lesions = None,
) -> Joint:
    """Return any number of labels and logits with its intervals of 95 %, by a jackknife.

    Args:
        judged: A model and its retrainings.
        score: Of some of the images.
        lesions: Lesion or patient of each image; None: each image is its own.
    """
    labels = judged.labels
    values = [score(labels, logits) for logits in judged.logits]
    moved = [
        jackknife_influence(labels, lambda kept, z=z: score(labels[kept], z[kept]), lesions)
        for z in judged.logits
    ]
    units = np.hstack([influence.of_units for influence in moved])
    return _joined(judged, judged.seeds, values, Influence(units, moved[0].df), lesions)


def measure_estimates(
    judged: Judged,
    estimates: Sequence[Estimate],
    weights: Float[np.ndarray, " classes"],
    lesions: Lesions = None,
) -> Joint:
    """Return an estimate of each retraining with its intervals of 95 %, by influence functions.

    Args:
        judged: A model and its retrainings.
        estimates: One for each retraining; any NaN makes the whole of them unknown.
        weights: Of each class in the estimate.
        lesions: Lesion or patient of each image; None: each image is its own.
    """
    moved = np.column_stack([estimate.moved for estimate in estimates])
    influence = recall_influence(judged.labels, moved, weights, lesions)
    values = [estimate.value for estimate in estimates]
    return _joined(judged, judged.seeds, values, influence, lesions)


def quiet_note(judged: Judged, lesions: Lesions = None) -> str:
    """Return a note on classes of few images, or nearly all or none right; else nothing.

    Differences in such a class hardly show, whatever interval one takes. Over several splits it is
    of the images of all of them, each with the lesions that it knows.
    """
    labels, right = judged.labels, judged.right.mean(axis=1)
    if judged.splits:
        labels, right, lesions = _of_all_splits(judged)
    found = quiet_classes(labels, right, len(judged.groups), lesions)
    if not found:
        return ""
    names = [judged.class_names[i] if judged.class_names else str(i) for i in found]
    return (
        f"{judged.label} has few images, or nearly all or none right (n p (1 - p) below 3), in "
        f"{', '.join(names)}, where little can show"
    )


def check_metric(metric: str, class_names: Sequence[str]) -> None:
    """Check that there is such a metric, and that it can be had of stored logits.

    Raises:
        UserError: there is none.
    """
    of_classes = [f"{OF_CLASS}{name}" for name in class_names]
    allowed = [name for name, known in known_metrics().items() if known.is_of_logits]
    if metric not in (*allowed, *of_classes):
        raise unknown("metric", metric, [*allowed, *of_classes])


def is_recall(metric: str) -> bool:
    """Return whether a metric is a mean recall of classes, which takes no logits."""
    is_group = metric in known_metrics() and known_metrics()[metric].group is not None
    return metric == PRIMARY.name or metric.startswith(OF_CLASS) or is_group


def _classes(judged: Judged, metric: str) -> Bool[np.ndarray, " classes"] | None:
    """Return the classes whose mean recall a metric is; None for another kind of metric."""
    groups = np.array(judged.groups)
    if metric == PRIMARY.name:
        return np.ones(len(groups), dtype=bool)
    if metric.startswith(OF_CLASS):
        check_metric(metric, judged.class_names)
        return np.array(judged.class_names) == metric.removeprefix(OF_CLASS)
    check_metric(metric, judged.class_names)
    group = known_metrics()[metric].group
    return None if group is None else groups == group


def _jackknifed(
    judged: Judged, seeds: Sequence[int], metric: str, lesions: Lesions
) -> tuple[Float[np.ndarray, " seeds"], Influence]:
    """Return any metric of each retraining, and how parts of the test set move it."""
    known = known_metrics()[metric]
    of_lesions = None if lesions is None else lesions.tobytes()
    scores: list[float] = []
    moved: list[Influence] = []
    for seed in seeds:
        key = (metric, seed, of_lesions)
        if key not in judged.jackknifed:
            logits = judged.logits[judged.seeds.index(seed)]
            score = partial(_score, judged.labels, logits, judged.protocol, known)
            everything = np.arange(len(judged.labels))
            influence = jackknife_influence(judged.labels, score, lesions)
            judged.jackknifed[key] = score(everything), influence
        value, influence = judged.jackknifed[key]
        scores.append(value)
        moved.append(influence)
    units = np.hstack([influence.of_units for influence in moved])
    return np.array(scores), Influence(units, moved[0].df)


def _score(
    labels: Int64[np.ndarray, " images"],
    logits: Float[np.ndarray, "images classes"],
    protocol: str,
    metric: Metric,
    kept: Int64[np.ndarray, " kept"],
) -> float:
    of_kept = labels[kept]
    return metric.value(of_kept, logits[kept], weights=weights_of(protocol, of_kept))


def direction(metric: str) -> Literal[1, -1]:
    """Return 1 where higher is better, else -1."""
    return 1 if metric.startswith(OF_CLASS) or known_metrics()[metric].higher_is_better else -1


def in_percent(metric: str) -> bool:
    """Return whether tables show 100 times the value."""
    return metric.startswith(OF_CLASS) or known_metrics()[metric].percent
