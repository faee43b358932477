"""How sure the first place of each task is: images and retrainings drawn together."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan

import numpy as np
from jaxtyping import Float

from lmd_bench.leaderboard.draws import TaskDraws
from lmd_bench.leaderboard.tables.text import Part, Table, percent

ONE_RUN = "with one run of each method, how far retrainings lie apart is not known"


@dataclass(frozen=True)
class FirstPlace:
    """The chance of each method of a task to come first, best first."""

    labels: tuple[str, ...]
    scores: tuple[float, ...]  # balanced accuracy, mean over the shared seeds
    chances: tuple[float, ...]  # NaN with one run of each, whose spread is not known
    n_seeds: int  # on each split
    left_out: tuple[str, ...]  # methods that lack runs, or a split, of the others
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
    observed = drawn.observed.mean(axis=1)
    chances = np.full(len(observed), np.nan)
    if drawn.is_repeated:
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


def share(chance: float) -> str:
    """Return a share of draws in percent; a dash where it is not known."""
    return "–" if isnan(chance) else f"{100 * chance:.0f} %"


def first_places_text(places: dict[str, FirstPlace]) -> list[Part]:
    """Return the chances of each task as text."""
    lines: list[Part] = [
        "How sure the first place is: share of draws of test images (stratified by class, whole "
        "lesions or patients where they are known) and of seeds in which a method comes first."
    ]
    for task, place in places.items():
        cells = [
            (label, percent(score), share(chance))
            for label, score, chance in zip(place.labels, place.scores, place.chances, strict=True)
        ]
        seeds = f"{place.n_seeds} seed{'s' if place.n_seeds > 1 else ''}"
        if place.n_searches > 1:
            seeds += f" of {place.n_searches} searches, drawn by search"
        lines += ["", f"{task}, {seeds}", Table(("method", "bal. acc.", "first"), cells)]
        if place.left_out:
            split = "" if place.n_splits == 1 else "a split, or "
            names = ", ".join(place.left_out)
            lines.append(f"Left out, as they lack {split}seeds that the others share: {names}.")
    if any(isnan(chance) for place in places.values() for chance in place.chances):
        lines += ["", f"A dash: {ONE_RUN}."]
    return lines if places else ["No task has two methods whose logits of test were kept."]
