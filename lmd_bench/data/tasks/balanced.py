"""Protocols that hold out val and test class by class, and train on the exponential profile.

They differ in how many images of each class val and test take (`HoldOut`); all else is shared. Val
and test depend on the split seed alone, so every imbalance factor is judged on the same images. A
group (lesion, patient) lies in one split only; images of an opened group that val or test have no
use for are left out of everything.

Train sets nest: each class has one fixed order of its images and a task keeps the first n_j, so
what factor 500 keeps, factor 100 keeps too, wherever both factors divide the images of the largest
class.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import TaskSpec
from lmd_bench.core.seeding import derive_seed
from lmd_bench.data.table import ImageTable
from lmd_bench.data.tasks.long_tail import by_count, exponential_counts
from lmd_bench.data.tasks.split import Split, sorted_rows

_VAL_PERCENT, _TEST_PERCENT = 15, 25  # of a class, or of the rarest one
_FEWEST = 8  # images of the rarest class: 1 val, 2 test and some to train on


@runtime_checkable
class HoldsOut(Protocol):
    """Says which images val and test take."""

    def held_out(self, table: ImageTable, split_seed: int) -> tuple[dict[str, list[int]], set[str]]:
        """Return the rows of val and test, and all groups that either of them opened."""
        ...


@dataclass(frozen=True)
class HoldOut:
    """How many images of each class val and test take: 15 % and 25 %, at most so many."""

    most_val: int | None  # None: no limit
    most_test: int | None
    of_rarest: bool = False  # the share is of the rarest class, the same number for every class

    def wanted(self, counts: Sequence[int]) -> list[dict[str, int]]:
        """Return the images that test and val take of each class.

        Args:
            counts: Images of each class in the whole data set.
        """
        sizes = [min(counts)] * len(counts) if self.of_rarest else counts
        return [
            {
                "test": _at_most(self.most_test, size * _TEST_PERCENT // 100),
                "val": _at_most(self.most_val, size * _VAL_PERCENT // 100),
            }
            for size in sizes
        ]

    def held_out(self, table: ImageTable, split_seed: int) -> tuple[dict[str, list[int]], set[str]]:
        """Return the rows of val and test, and all groups that either of them opened.

        Raises:
            UserError: the rarest class is too small or lies in too few groups.
        """
        counts = images_by_class(table)
        wanted = self.wanted(counts)
        taken: dict[str, list[int]] = {"test": [], "val": []}
        owner: dict[str, str] = {}  # group -> the split that opened it
        # The rarest class chooses first: it has the fewest groups to choose from.
        for label in reversed(by_count(counts)):
            take_class(table, label, split_seed, wanted[label], taken, owner)
        return taken, set(owner)


def cut_by_class(table: ImageTable, spec: TaskSpec, hold_out: HoldsOut) -> Split:
    """Return the split of `spec`; every class has at least one image.

    Raises:
        UserError: the rarest class is too small or lies in too few groups, or train cannot have
            this imbalance factor or n_max.
    """
    counts, held_out, remaining = _remaining(table, spec.split_seed, hold_out)
    available = [len(rows) for rows in remaining]
    kept = train_counts(available, by_count(counts), table.class_names, spec)
    train: list[int] = []
    for name, rows, n_kept in zip(table.class_names, remaining, kept, strict=True):
        order = _generator(spec.split_seed, "train", name).permutation(len(rows))
        train.extend(rows[order[:n_kept]].tolist())
    return Split(
        train=sorted_rows(train),
        val=sorted_rows(held_out["val"]),
        test=sorted_rows(held_out["test"]),
    )


def counts_by_class(
    table: ImageTable, split_seed: int, hold_out: HoldsOut
) -> Callable[[TaskSpec], list[int]]:
    """Return the function that gives the training images of each class for a spec, as cut here.

    Raises:
        UserError: as `cut_by_class`; the function does where train cannot have what a spec asks.
    """
    counts, _, remaining = _remaining(table, split_seed, hold_out)
    available = [len(rows) for rows in remaining]
    return lambda spec: train_counts(available, by_count(counts), table.class_names, spec)


def train_counts(
    available: list[int], order: list[int], class_names: tuple[str, ...], spec: TaskSpec
) -> list[int]:
    """Return how many training images each class keeps.

    The largest class keeps n_max, the smallest n_min, n_max / n_min being the imbalance factor;
    the others follow the exponential profile as far as they have images. n_max starts from
    `spec.n_max`, else from the largest class's images rounded down to a multiple of 1000 (of 100
    below 1000, of 10 below 100): the usual factors divide such a number, and then the sets nest.
    n_min = floor(n_max / IF), and n_max is brought down to IF * n_min. For a factor that is no
    whole number n_min is the largest one for which IF * n_min is whole; where there is none, n_max
    is rounded to the nearest image. Without a factor every class keeps all, at most `spec.n_max`.

    Args:
        available: images of each class that val and test left.
        order: the classes from most to fewest images in the whole data set.
        class_names: for the messages.
        spec: its imbalance factor and n_max.

    Raises:
        UserError: the factor or n_max cannot be had, naming those that can.
    """
    # Of classes with equally few images left, the one that is rarer in the whole data set.
    head, rarest = order[0], min(reversed(order), key=lambda label: available[label])
    if not available[rarest]:
        raise UserError(
            f"No image of class '{class_names[rarest]}' is left for training after validation and "
            "test; the data set has too few groups of it for this protocol."
        )
    start = _largest_class(available[head], class_names[head], spec.n_max)
    if spec.imbalance_factor is None:
        return [n if spec.n_max is None else min(n, spec.n_max) for n in available]
    n_max, n_min = _exact_ends(start, spec.imbalance_factor)
    if n_min > available[rarest]:
        raise _factor_too_small(
            spec.imbalance_factor, start, n_min, class_names[rarest], available[rarest]
        )
    profile = exponential_counts(n_max, spec.imbalance_factor, len(order))
    # The profile rounds each class by itself; both ends are set, so that their ratio is exact.
    kept = list(available)
    for label, n_profile in zip(order, profile, strict=True):
        kept[label] = min(available[label], max(n_profile, n_min))
    kept[head], kept[order[-1]] = n_max, n_min
    return kept


def images_by_class(table: ImageTable) -> list[int]:
    """Return the images of each class.

    Raises:
        UserError: a class has too few to cut train, val and test from.
    """
    counts = [int(n) for n in np.bincount(table.labels, minlength=len(table.class_names))]
    n_rarest = min(counts)
    if n_rarest < _FEWEST:
        raise UserError(
            f"Class '{table.class_names[counts.index(n_rarest)]}' has {n_rarest} images; this "
            f"protocol needs at least {_FEWEST} of every class to cut train, val and test."
        )
    return counts


def _remaining(
    table: ImageTable, split_seed: int, hold_out: HoldsOut
) -> tuple[list[int], dict[str, list[int]], list[Int64[np.ndarray, " rows"]]]:
    """Return the images of each class, the rows of val and test, and of each class what is left."""
    counts = images_by_class(table)
    held_out, opened = hold_out.held_out(table, split_seed)
    unopened = np.array([group not in opened for group in table.groups])
    labels = range(len(counts))
    return counts, held_out, [np.flatnonzero((table.labels == n) & unopened) for n in labels]


def drawn_groups(table: ImageTable, label: int, seed: int) -> dict[str, list[int]]:
    """Return the groups of a class in the order they are drawn, with its rows in each."""
    rows_of: dict[str, list[int]] = {}
    for row in np.flatnonzero(table.labels == label):
        rows_of.setdefault(table.groups[row], []).append(int(row))
    groups, name = list(rows_of), table.class_names[label]
    order = _generator(seed, "groups", name).permutation(len(groups))
    return {groups[place]: rows_of[groups[place]] for place in order}


def take_class(
    table: ImageTable,
    label: int,
    seed: int,
    wanted: dict[str, int],
    taken: dict[str, list[int]],
    owner: dict[str, str],
) -> None:
    """Add `wanted` images of one class to `taken`, opening groups (in `owner`) as needed.

    Raises:
        UserError: the class lies in too few groups.
    """
    name = table.class_names[label]
    rows_of = drawn_groups(table, label, seed)
    drawn = list(rows_of)
    # A group of several classes stays where a rarer class put it: use those up first.
    drawn.sort(key=lambda group: group not in owner)
    lacking = dict(wanted)
    for group in drawn:
        split = owner.get(group) or next((s for s, n in lacking.items() if n), None)
        if split is None:
            return
        owner[group] = split
        # What the split has no use for stays out of everything, since its group is opened.
        rows = rows_of[group][: lacking[split]]
        taken[split].extend(rows)
        lacking[split] -= len(rows)
    if any(lacking.values()):
        raise UserError(
            f"Class '{name}' lies in {len(rows_of)} groups, too few to give val {wanted['val']} "
            f"and test {wanted['test']} images with no group in both; use a data set with more "
            "groups."
        )


def _largest_class(available: int, name: str, n_max: int | None) -> int:
    if n_max is None:
        step = min(1000, 10 ** (len(str(available)) - 1))
        return available // step * step
    if not 1 <= n_max <= available:
        raise UserError(
            f"--n-max {n_max} cannot be had: class '{name}' has {available} images for training "
            f"after validation and test; give a number from 1 to {available}."
        )
    return n_max


def _exact_ends(start: int, factor: float) -> tuple[int, int]:
    """Return (n_max, n_min) with n_max <= `start` and n_max / n_min = `factor`."""
    # The decimal that was typed, not its nearest binary number.
    ratio = Fraction(str(factor))
    n_min = math.floor(start / ratio)
    if n_min < 1:
        raise UserError(
            f"Imbalance factor {factor:g} leaves no image in the smallest class: with {start} "
            f"training images in the largest class the largest possible factor is {start}."
        )
    # n_min * factor is whole where n_min is a multiple of the denominator.
    whole = n_min // ratio.denominator * ratio.denominator
    n_min = whole or n_min
    return round(n_min * ratio), n_min


def _factor_too_small(
    factor: float, start: int, n_min: int, name: str, available: int
) -> UserError:
    # The least whole number with floor(start / IF) <= available.
    smallest = start // (available + 1) + 1
    return UserError(
        f"Imbalance factor {factor:g} with {start} training images in the largest class needs "
        f"{n_min} of every class, but class '{name}' has {available} after validation and test; "
        f"the smallest possible whole factor is {smallest}, "
        f"or give --n-max {math.floor(Fraction(str(factor)) * available)} or less."
    )


def _at_most(limit: int | None, n: int) -> int:
    return n if limit is None else min(limit, n)


def _generator(seed: int, *names: str) -> np.random.Generator:
    # One name for all of these protocols: of one class they draw groups and images in one order.
    return np.random.default_rng(derive_seed(seed, "protocol", "balanced", *names))
