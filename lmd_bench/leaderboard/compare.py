"""Methods of one task compared on the same test images, by runs of the same seeds.

A difference is that of the first method less the other: above 0, the first is better. A method is
judged by the mean over its seeds, for each image. The bootstrap interval is over the test images,
so it speaks of these trained models; the interval over seeds speaks of retrainings. Holm's
correction is over the methods that the first is compared with on one task.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int64

from lmd_bench.leaderboard.studies.predictions import Judged, same_images
from lmd_bench.stats.bootstrap import mean_recall, resampled_recall
from lmd_bench.stats.intervals import Interval, over_images, percentile_interval, seed_interval
from lmd_bench.stats.paired import bootstrap_p, combined_p, holm, mcnemar, smallest_difference

GROUPS = ("many", "medium", "few")
N_RESAMPLES = 10_000  # the smallest p is 2 / 10,001: low enough for Holm over 200 methods


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
    found = [
        _comparison(first, other, seeds, samples[:, 2 * i] - samples[:, 2 * i + 1], clusters)
        for i, (other, seeds) in enumerate(pairs)
    ]
    return _corrected(found), unpaired


def class_recall(judged: Judged, seeds: Sequence[int]) -> Float[np.ndarray, "seeds classes"]:
    """Return the recall of each class for each seed; NaN where a class has no image."""
    right = judged.of_seeds(seeds).astype(np.float64)
    n_images = np.bincount(judged.labels, minlength=len(judged.groups))
    hits = np.array([np.bincount(judged.labels, column, len(judged.groups)) for column in right.T])
    return np.where(n_images > 0, hits / np.maximum(n_images, 1), np.nan)


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


def _corrected(found: Sequence[Comparison]) -> list[Comparison]:
    p, mcnemar_p = holm([one.p for one in found]), holm([one.mcnemar_p for one in found])
    return [
        replace(one, p_holm=a, mcnemar_p_holm=b)
        for one, a, b in zip(found, p, mcnemar_p, strict=True)
    ]
