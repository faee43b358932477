"""Test images and retrainings of a task drawn anew, all methods together.

Retrainings of one search share its configuration, so several searches are drawn in their place.

First places and aggregates over tasks are read off the same draws. Tasks with the same test images,
such as the factors of one data set, have the same images drawn: what is common to them stays so.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float, Int64

from lmd_bench.core.seeding import derive_seed
from lmd_bench.leaderboard.studies.measure import splits_of
from lmd_bench.leaderboard.studies.predictions import Clusters, Judged, same_images, with_clusters
from lmd_bench.stats.bootstrap import (
    Recalls,
    Right,
    mean_recall,
    resampled_recall,
    reweighted_recall,
)
from lmd_bench.stats.influence import class_means

N_RESAMPLES = 2000


@dataclass(frozen=True, eq=False)
class TaskDraws:
    """Balanced accuracy of each run of a task's methods on drawn images, and the runs drawn.

    A run is a retraining seed that all of these methods have, drawn with all of its search where
    there are several; over several splits, the mean of a split.
    """

    labels: tuple[str, ...]
    scores: Float[np.ndarray, "draws methods runs"]
    weights: Float[np.ndarray, "draws runs"]  # of the runs in each draw, 1 in all
    observed: Float[np.ndarray, "methods runs"]
    n_classes: int  # that have test images
    n_seeds: int  # on each split
    left_out: tuple[str, ...] = ()  # methods that lack runs, or a split, of the others
    n_splits: int = 1
    n_searches: int = 1  # on each split

    @property
    def is_repeated(self) -> bool:
        """Return whether there are several runs of each method, so that their spread is known."""
        return self.n_seeds * self.n_splits > 1


def draw_tasks(
    tasks: Mapping[str, Sequence[Judged]], clusters: Clusters | None = None
) -> dict[str, TaskDraws]:
    """Return the draws of each task of which some method has logits of test.

    Raises:
        UserError: methods of one task were judged on different images, or the CSV cannot be used.
    """
    return {task: draw(methods, task, clusters) for task, methods in tasks.items() if methods}


def draw(
    methods: Sequence[Judged],
    task: str,
    clusters: Clusters | None = None,
    n_resamples: int = N_RESAMPLES,
) -> TaskDraws:
    """Return draws of the test images and retrainings of one task, paired over its methods.

    Args:
        methods: Of one task, or of several splits of a data set.
        task: Its name, from which the draws of retrainings follow.
        clusters: Lesions or patients of the images; None: those stored with the logits.
        n_resamples: Draws; over several splits, each also draws splits.

    Raises:
        UserError: the methods were judged on different images, or the CSV cannot be used.
    """
    generator = np.random.default_rng(derive_seed(0, "first place", task))
    if any(method.splits for method in methods):
        return _over_splits(methods, generator, clusters, n_resamples)
    kept, seeds = _with_shared_seeds(methods)
    kept = [with_clusters(kept[0], clusters), *kept[1:]]
    scores, observed = _scores(kept, seeds, partial(_resampled, n_resamples))
    searches = kept[0].searches_of(seeds)
    return TaskDraws(
        labels=tuple(method.label for method in kept),
        scores=scores,
        weights=_run_weights(searches, n_resamples, generator),
        observed=observed,
        n_classes=len(np.unique(kept[0].labels)),
        n_seeds=len(seeds),
        left_out=tuple(method.label for method in methods if method not in kept),
        n_searches=len(set(searches)),
    )


def _over_splits(
    methods: Sequence[Judged],
    generator: np.random.Generator,
    clusters: Clusters | None,
    n_resamples: int,
) -> TaskDraws:
    """Return draws over splits, of the methods that have as many as any other."""
    fullest = max(methods, key=lambda method: len(method.splits))
    names = {split.split for split in fullest.splits}
    kept = [method for method in methods if {split.split for split in method.splits} == names]
    for name in sorted(names):
        of_split = [next(s for s in method.splits if s.split == name) for method in kept]
        with_runs, _ = _with_shared_seeds(of_split)
        kept = [method for method, s in zip(kept, of_split, strict=True) if s in with_runs]
    parts = splits_of([with_clusters(kept[0], clusters), *kept[1:]])
    scores: list[np.ndarray] = []
    observed: list[np.ndarray] = []
    lesions = [first.lesions or first.image_ids for (first, *_), _ in parts]
    names, place = np.unique(np.concatenate(lesions), return_inverse=True)
    of_parts = np.split(place, np.cumsum([len(of_part) for of_part in lesions])[:-1])
    # The same for a lesion in the test sets of several splits, whose scores it moves together.
    of_images = np.random.default_rng(derive_seed(0, "test images", *names.tolist()))
    drawn = of_images.poisson(1.0, (n_resamples, len(names))).astype(np.float64)
    for (judged, seeds), ids in zip(parts, of_parts, strict=True):
        of_runs, seen = _scores(judged, seeds, partial(_reweighted, ids, drawn))
        weights = _run_weights(judged[0].searches_of(seeds), n_resamples, generator)
        scores.append(np.einsum("rms,rs->rm", of_runs, weights))
        observed.append(seen.mean(axis=1))
    return TaskDraws(
        labels=tuple(method.label for method in kept),
        scores=np.stack(scores, axis=2),
        weights=_weights(len(parts), n_resamples, generator),
        observed=np.stack(observed, axis=1),
        n_classes=len(np.unique(parts[0][0][0].labels)),
        n_seeds=len(parts[0][1]),
        left_out=tuple(method.label for method in methods if method not in kept),
        n_splits=len(parts),
        n_searches=len(set(parts[0][0][0].searches_of(parts[0][1]))),
    )


def _scores(
    methods: Sequence[Judged], seeds: Sequence[int], recall_of: Callable[[Judged, Right], Recalls]
) -> tuple[Float[np.ndarray, "draws methods runs"], Float[np.ndarray, "methods runs"]]:
    """Return the score of each run on drawn images, and the one that was observed.

    Args:
        methods: Judged on the same images.
        seeds: That all of them have.
        recall_of: Takes one of them, and how right each run is on its images; draws recalls.

    Raises:
        UserError: the methods were judged on different images.
    """
    for one, other in zip(methods, methods[1:], strict=False):
        pair = f"{one.label} and {other.label}"
        same_images(pair, (one.image_ids, one.labels), (other.image_ids, other.labels))
    first = methods[0]
    columns = [method.of_seeds(seeds) for method in methods]
    right = np.concatenate(columns, axis=1).astype(np.float64)
    drawn = mean_recall(recall_of(first, right))
    observed = mean_recall(class_means(first.labels, right, len(first.groups)))
    shape = (len(methods), len(seeds))
    return drawn.reshape(len(drawn), *shape), observed.reshape(shape)


def _resampled(n_resamples: int, judged: Judged, right: Right) -> Recalls:
    """Draw the images again; the draws follow from the images alone, whatever the task."""
    names = (*judged.image_ids, *judged.labels.tolist())
    generator = np.random.default_rng(derive_seed(0, "test images", *names))
    n_classes = len(judged.groups)
    return resampled_recall(
        judged.labels, right, n_classes, generator, judged.clusters, n_resamples
    )


def _reweighted(
    lesions: Int64[np.ndarray, " images"],
    drawn: Float[np.ndarray, "draws lesions"],
    judged: Judged,
    right: Right,
) -> Recalls:
    return reweighted_recall(judged.labels, right, len(judged.groups), lesions, drawn)


def _with_shared_seeds(methods: Sequence[Judged]) -> tuple[list[Judged], tuple[int, ...]]:
    """Return the methods that are drawn together, and the seeds that each of them has.

    A method that lacks many seeds, or searches, would take them from all others. So of the sets of
    seeds that methods share, that is taken which gives the most runs in all: two methods or more,
    times their seeds.
    """
    of_methods = [frozenset(method.seeds) for method in methods]
    shared = dict.fromkeys(one & other for one in of_methods for other in of_methods)

    def n_runs(seeds: frozenset[int]) -> tuple[bool, int, int]:
        n_methods = sum(seeds <= those for those in of_methods)
        return n_methods > 1, n_methods * len(seeds), n_methods

    chosen = max(filter(None, shared), key=n_runs)
    kept = [m for m, seeds in zip(methods, of_methods, strict=True) if chosen <= seeds]
    return kept, tuple(sorted(chosen))


def _run_weights(
    searches: Sequence[str], n_resamples: int, generator: np.random.Generator
) -> Float[np.ndarray, "draws runs"]:
    """Return the weights of runs, drawn one by one, or by search where there are several.

    Args:
        searches: That each run is of.
        n_resamples: Draws.
        generator: Of the draws.
    """
    names, of_runs, n_runs = np.unique(searches, return_inverse=True, return_counts=True)
    if len(names) < 2:
        return _weights(len(searches), n_resamples, generator)
    return (_weights(len(names), n_resamples, generator) / n_runs)[:, of_runs]


def _weights(
    n_units: int, n_resamples: int, generator: np.random.Generator
) -> Float[np.ndarray, "draws units"]:
    """Return the weights of S - 1 units drawn of S, as for clusters of images."""
    n_draws = max(n_units - 1, 1)
    counts = generator.multinomial(n_draws, [1 / n_units] * n_units, size=n_resamples)
    return counts / n_draws
