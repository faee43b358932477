"""How sure the first place of each task is: images and retrainings drawn together."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from lmd_bench.leaderboard.draws import TaskDraws
from lmd_bench.leaderboard.tables.text import Part, Table, percent


@dataclass(frozen=True)
class FirstPlace:
    """The chance of each method of a task to come first, best first."""

    labels: tuple[str, ...]
    scores: tuple[float, ...]  # balanced accuracy, mean over the shared seeds
    chances: tuple[float, ...]
    n_seeds: int  # on each split
    left_out: tuple[str, ...]  # methods without a seed, or a split, that all the others have
    n_splits: int = 1
    n_searches: int = 1  # on each split


def first_places(tasks: Mapping[str, TaskDraws]) -> dict[str, FirstPlace]:
    """Return how sure the first place is, of each task with two methods whose logits were kept."""
    return {
        task: first_place(drawn)
        for task, drawn in tasks.items()
        if len(drawn.labels) + len(drawn.left_out) > 1
    }


def first_place(drawn: TaskDraws) -> FirstPlace:
    """Return how often each method of a task comes first."""
    if not drawn.labels:
        return FirstPlace((), (), (), 0, drawn.left_out)
    observed = drawn.observed.mean(axis=1)
    chances = chances_of_first(np.einsum("rms,rs->rm", drawn.scores, drawn.weights))
    order = np.lexsort((-chances, -observed)).tolist()
    return FirstPlace(
        labels=tuple(drawn.labels[index] for index in order),
        scores=tuple(float(observed[index]) for index in order),
        chances=tuple(float(chances[index]) for index in order),
        n_seeds=drawn.n_seeds,
        left_out=drawn.left_out,
        n_splits=drawn.n_splits,
        n_searches=drawn.n_searches,
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
        if place.n_searches > 1:
            seeds += f" of {place.n_searches} searches, drawn by search"
        lines += ["", f"{task}, {seeds}", Table(("method", "bal. acc.", "first"), cells)]
        if place.left_out:
            lacking = "seed" if place.n_splits == 1 else "seed or lack a split"
            lines.append(f"Left out, as they share no {lacking}: {', '.join(place.left_out)}.")
    return lines if places else ["No task has two methods whose logits of test were kept."]
