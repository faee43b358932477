"""How sure the first place of each task is: images and retrainings drawn together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64

from lmd_bench.core.schema import Row
from lmd_bench.core.seeding import derive_seed
from lmd_bench.leaderboard.studies.group import by_table, group_studies
from lmd_bench.leaderboard.studies.measure import splits_of
from lmd_bench.leaderboard.studies.predictions import (
    Clusters,
    Judged,
    clusters_of,
    read_methods,
    same_images,
)
from lmd_bench.leaderboard.studies.rules import SelectionRule
from lmd_bench.leaderboard.tables.text import Part, Table, percent
from lmd_bench.stats.bootstrap import mean_recall, resampled_recall
from lmd_bench.store.store import Store

N_RESAMPLES = 2000


@dataclass(frozen=True)
class FirstPlace:
    """The chance of each method of a task to come first, best first."""

    labels: tuple[str, ...]
    scores: tuple[float, ...]  # balanced accuracy, mean over the shared seeds
    chances: tuple[float, ...]
    n_seeds: int  # on each split
    left_out: tuple[str, ...]  # methods without a seed, or a split, that all the others have
    n_splits: int = 1


def first_places(
    store: Store,
    rows: Sequence[Row],
    rule: SelectionRule,
    clusters: Clusters | None = None,
) -> dict[str, FirstPlace]:
    """Return how sure the first place is, of each task with two methods whose logits were kept."""
    found: dict[str, FirstPlace] = {}
    for task, members in by_table(group_studies(rows)).items():
        methods = read_methods(store, members, rule)
        if len(methods) > 1:
            generator = np.random.default_rng(derive_seed(0, "first place", task))
            found[task] = first_place(methods, generator, clusters_of(methods[0], clusters))
    return found


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
        clusters: Lesion or patient of each image; None: each image is its own. Several splits have
            their own.
        n_resamples: Draws; over several splits, each also draws splits.

    Raises:
        UserError: the methods were judged on different images.
    """
    if any(method.splits for method in methods):
        return _over_splits(methods, generator, n_resamples)
    kept, seeds = _with_shared_seeds(methods)
    drawn, observed = _draws(kept, seeds, generator, clusters, n_resamples)
    left_out = [method for method in methods if method not in kept]
    return _in_order(kept, drawn, observed, left_out, len(seeds), 1)


def _over_splits(
    methods: Sequence[Judged], generator: np.random.Generator, n_resamples: int
) -> FirstPlace:
    """Return the chances over splits, of the methods that have as many as any other."""
    fullest = max(methods, key=lambda method: len(method.splits))
    names = {split.split for split in fullest.splits}
    kept = [method for method in methods if {split.split for split in method.splits} == names]
    parts = splits_of(kept)
    if not parts:  # on no split do they share a seed
        return FirstPlace((), (), (), 0, tuple(method.label for method in methods))
    on_each = [
        _draws(judged, seeds, generator, judged[0].clusters, n_resamples) for judged, seeds in parts
    ]
    weights = _seed_weights(len(parts), n_resamples, generator)
    drawn = np.einsum("srm,rs->rm", np.stack([draws for draws, _ in on_each]), weights)
    observed = np.mean([scores for _, scores in on_each], axis=0)
    left_out = [method for method in methods if method not in kept]
    return _in_order(kept, drawn, observed, left_out, len(parts[0][1]), len(parts))


def _draws(
    methods: Sequence[Judged],
    seeds: Sequence[int],
    generator: np.random.Generator,
    clusters: Int64[np.ndarray, " images"] | None,
    n_resamples: int,
) -> tuple[Float[np.ndarray, "draws methods"], Float[np.ndarray, " methods"]]:
    """Return scores of methods on drawn images and seeds, and those that were observed.

    Raises:
        UserError: the methods were judged on different images.
    """
    for one, other in zip(methods, methods[1:], strict=False):
        pair = f"{one.label} and {other.label}"
        same_images(pair, (one.image_ids, one.labels), (other.image_ids, other.labels))
    first, columns = methods[0], [method.of_seeds(seeds) for method in methods]
    right = np.concatenate(columns, axis=1).astype(np.float64)
    samples = resampled_recall(
        first.labels, right, len(first.groups), generator, clusters, n_resamples
    )
    drawn = mean_recall(samples).reshape(n_resamples, len(methods), len(seeds))
    weights = _seed_weights(len(seeds), n_resamples, generator)
    observed = _balanced_accuracy(first, right).reshape(len(methods), len(seeds)).mean(axis=1)
    return np.einsum("rms,rs->rm", drawn, weights), observed


def _in_order(
    kept: Sequence[Judged],
    drawn: Float[np.ndarray, "draws methods"],
    observed: Float[np.ndarray, " methods"],
    left_out: Sequence[Judged],
    n_seeds: int,
    n_splits: int,
) -> FirstPlace:
    chances = chances_of_first(drawn)
    order = np.lexsort((-chances, -observed)).tolist()
    return FirstPlace(
        labels=tuple(kept[index].label for index in order),
        scores=tuple(float(observed[index]) for index in order),
        chances=tuple(float(chances[index]) for index in order),
        n_seeds=n_seeds,
        left_out=tuple(method.label for method in left_out),
        n_splits=n_splits,
    )


def chances_of_first(
    scores: Float[np.ndarray, "draws methods"],
) -> Float[np.ndarray, " methods"]:
    """Return the share of draws in which each method is highest; equal ones share the draw."""
    best = scores >= scores.max(axis=1, keepdims=True) - 1e-12  # sums of another order round so
    return (best / best.sum(axis=1, keepdims=True)).mean(axis=0)


def first_places_text(places: dict[str, FirstPlace]) -> list[Part]:
    """Return the chances of each task as text."""
    lines: list[Part] = [
        "How sure the first place is: share of draws of test images (stratified by class, whole "
        "lesions or patients where they are known) and of seeds in which a method comes first."
    ]
    for task, place in places.items():
        cells = [
            (label, percent(score), f"{100 * chance:.0f} %")
            for label, score, chance in zip(place.labels, place.scores, place.chances, strict=True)
        ]
        seeds = f"{place.n_seeds} seed{'s' if place.n_seeds > 1 else ''}"
        lines += ["", f"{task}, {seeds}", Table(("method", "bal. acc.", "first"), cells)]
        if place.left_out:
            lacking = "seed" if place.n_splits == 1 else "seed or lack a split"
            lines.append(f"Left out, as they share no {lacking}: {', '.join(place.left_out)}.")
    return lines if places else ["No task has two methods whose logits of test were kept."]


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
