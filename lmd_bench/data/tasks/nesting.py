"""Tasks of one data set that differ in nothing but the imbalance factor, as a sweep compares them.

Their train sets nest and their val and test sets are the same images: then a curve over factors
shows what fewer images of the rarer classes do, and nothing else.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import ceil

import numpy as np

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource, TaskSpec
from lmd_bench.core.text import factor_name
from lmd_bench.data.table import ImageTable
from lmd_bench.data.tasks.protocols import TRAIN_COUNTS, cut
from lmd_bench.data.tasks.split import Split

Factor = float | None  # n_max / n_min of train; None keeps what exists
Counts = Callable[[TaskSpec], list[int]]


def by_size(factors: Sequence[Factor]) -> tuple[Factor, ...]:
    """Return the distinct factors, those of the larger train sets first: natural, then rising."""
    return tuple(sorted(dict.fromkeys(factors), key=lambda factor: factor or 0.0))


def factor_levels(low: float, high: float, n: int, n_max: int) -> tuple[float, ...]:
    """Return imbalance factors from low to high, evenly in log.

    Those between the ends are moved to where the rarest class is a whole number of images: the
    largest class then keeps its size, and train sets nest.

    Args:
        low: First of them.
        high: Last of them.
        n: How many, 2 or more; fewer are returned where two of them would be one number.
        n_max: Images of the largest train class.
    """
    even = [low * (high / low) ** (place / (n - 1)) for place in range(1, n - 1)]
    between = [_exact_factor(factor, n_max) for factor in even]
    return (low, *(f for f in dict.fromkeys(between) if low < f < high), high)


def _exact_factor(factor: float, n_max: int) -> float:
    """Return the factor next to one at which n_max images are kept of the largest class.

    One that is a whole number is taken where there is any within a tenth.
    """
    nearest = max(1, round(n_max / factor))
    close = [n for n in range(1, n_max + 1) if abs(n_max / n / factor - 1) <= 0.1]
    whole = [n for n in close if n_max % n == 0]
    n_min = min(whole or [nearest], key=lambda n: abs(n_max / n / factor - 1))
    # With as few decimals as do: rounded up, the rarest class would lose an image, and where fewer
    # of its images give a whole number at the largest, a protocol takes those.
    for decimals in range(7):
        rounded = Fraction(n_max * 10**decimals // n_min, 10**decimals)
        takes_fewer = rounded.denominator <= n_min and n_min % rounded.denominator > 0
        if not takes_fewer and round(n_min * rounded) == n_max:
            return float(rounded)
    return n_max / n_min


def ranged_specs(
    table: ImageTable, spec: TaskSpec, ends: tuple[float, float], n: int, source: DataSource
) -> tuple[TaskSpec, ...]:
    """Return the tasks at factors from one end to the other, evenly in log, as a sweep has them.

    Args:
        table: The images present.
        spec: Of any factor; all else holds for all.
        ends: The lowest and the highest factor.
        n: How many factors, at most.
        source: Where published splits lie.

    Raises:
        UserError: as `nested_specs`.
    """
    lowest, _ = specs = nested_specs(table, spec, ends, source)
    largest = int(np.bincount(table.labels[cut(table, lowest, source).train]).max())
    levels = factor_levels(*ends, n, largest)
    return nested_specs(table, replace(spec, n_max=specs[0].n_max), levels, source)


def nested_specs(
    table: ImageTable, spec: TaskSpec, factors: Sequence[Factor], source: DataSource
) -> tuple[TaskSpec, ...]:
    """Return the tasks of a sweep, by rising factor, with an n_max at which all of them can be had.

    What `spec` says of n_max stays. Without it, n_max is left to the protocol if that will do, as a
    search of one factor leaves it; else the largest one that every factor divides is taken, or
    where there is none the largest one at which the train sets nest.

    Args:
        table: The images present.
        spec: Of any factor; all else holds for the whole sweep.
        factors: Two or more.
        source: Where published splits lie.

    Raises:
        UserError: fewer than two factors, a factor that the data cannot give, or a protocol whose
            train sets do not nest or whose val or test change with the factor.
    """
    ordered = by_size(factors)
    if len(ordered) < 2:
        raise UserError("A sweep takes two or more imbalance factors, such as 10,20,50,100.")
    specs = tuple(replace(spec, imbalance_factor=factor) for factor in ordered)
    if spec.n_max is None and spec.protocol in TRAIN_COUNTS:
        counts = TRAIN_COUNTS[spec.protocol](table, spec.split_seed)
        n_max = None if fit(counts, specs) else _common_n_max(counts, specs, len(table))
        specs = tuple(replace(spec, n_max=n_max) for spec in specs)
    check_nested(table, specs, source)
    return specs


def fit(counts: Counts, specs: Sequence[TaskSpec], *, exactly: bool = False) -> bool:
    """Say whether all tasks can be had and nest; `exactly`: with one size of the largest class."""
    try:
        class_sizes = [counts(spec) for spec in specs]
    except UserError:
        return False
    nest = all(
        small <= large
        for larger, smaller in pairwise(class_sizes)
        for large, small in zip(larger, smaller, strict=True)
    )
    return nest and (not exactly or len({max(sizes) for sizes in class_sizes}) == 1)


def largest_n_max(counts: Counts, specs: Sequence[TaskSpec], most: int) -> int | None:
    """Return the n_max at which the tasks can be had and nest, None where there is none.

    The largest that gives every task a largest class of one size; else the largest at all.

    Args:
        counts: Training images of each class for a spec.
        specs: By rising factor.
        most: No n_max beyond it is tried.
    """
    factors = [spec.imbalance_factor or 1.0 for spec in specs]
    # Every task brings n_max down to a multiple of its factor, so no other number need be tried.
    multiples = {ceil(k * f) for f in factors if f > 1 for k in range(1, int(most / f) + 1)}
    tried = sorted(multiples or range(1, most + 1), reverse=True)
    # First at one size of the largest class: the tasks then differ in the other classes alone.
    for exactly in (True, False):
        for n_max in (n for n in tried if n >= max(factors)):
            if fit(counts, [replace(spec, n_max=n_max) for spec in specs], exactly=exactly):
                return n_max
    return None


def check_nested(
    table: ImageTable, specs: Sequence[TaskSpec], source: DataSource
) -> tuple[Split, ...]:
    """Return the splits of the tasks, by rising factor, once they are what a sweep compares.

    Raises:
        UserError: val or test differ between factors, or a train set holds images that the next
            larger one does not.
    """
    splits = tuple(cut(table, spec, source) for spec in specs)
    for (spec, split), (next_spec, following) in pairwise(zip(specs, splits, strict=True)):
        pair = f"imbalance factors {_factor(spec)} and {_factor(next_spec)}"
        for name in ("val", "test"):
            if not np.array_equal(getattr(split, name), getattr(following, name)):
                raise UserError(
                    f"Protocol '{spec.protocol}' gives other {name} images at {pair}, so a curve "
                    "over factors would compare tests as well as methods; use --protocol balanced."
                )
        if not np.isin(following.train, split.train).all():
            raise UserError(
                f"The train sets of {pair} do not nest: {_sizes(table, specs, splits)}; "
                f"{_would_do(table, specs)}."
            )
    return splits


def _most(counts: Counts, specs: Sequence[TaskSpec], n_images: int) -> int:
    """Return a bound of every n_max that can be had, from what the protocol itself refuses."""
    # floor(n_max / factor) may not pass the rarest class; it is largest at the smallest factor.
    available = counts(replace(specs[0], imbalance_factor=None, n_max=None))
    smallest = next((s.imbalance_factor for s in specs if s.imbalance_factor), float(n_images))
    return min(max(available), int(smallest * (min(available) + 1)))


def _common_n_max(counts: Counts, specs: Sequence[TaskSpec], n_images: int) -> int:
    most = _most(counts, specs, n_images)
    n_max = largest_n_max(counts, specs, most)
    if n_max is not None:
        return n_max
    raise UserError(_cannot_be_had(counts, specs, n_images))


def _cannot_be_had(counts: Counts, specs: Sequence[TaskSpec], n_images: int) -> str:
    """Say which factors are too many, and which of them the data can give."""
    offers: list[str] = []
    # Without the smallest factors, or without the largest: of each, the most that still go.
    for parts in (
        [specs[start:] for start in range(1, len(specs))],
        [specs[:end] for end in range(len(specs) - 1, 0, -1)],
    ):
        for part in parts:
            n_max = largest_n_max(counts, part, _most(counts, part, n_images))
            if n_max is not None:
                factors = ",".join(_factor(spec) for spec in part)
                offers.append(f"--imbalance-factor {factors} with --n-max {n_max}")
                break
    available = counts(replace(specs[0], imbalance_factor=None, n_max=None))
    lowest, highest = _factor(specs[0]), _factor(specs[-1])
    return (
        f"Imbalance factors {lowest} and {highest} cannot be had together: the "
        f"smallest class of '{specs[0].dataset}' has {min(available)} images for training, which "
        f"allow at most {_most(counts, specs, n_images)} of the largest at factor "
        f"{lowest}, too few for nested train sets up to factor {highest}; give "
        + (", or ".join(offers) or "another data set")
        + "."
    )


def _factor(spec: TaskSpec) -> str:
    return factor_name(spec.imbalance_factor)


def _sizes(table: ImageTable, specs: Sequence[TaskSpec], splits: Sequence[Split]) -> str:
    largest = [int(np.bincount(table.labels[split.train]).max()) for split in splits]
    pairs = zip(specs, largest, strict=True)
    return "the largest class keeps " + ", ".join(f"{n} at {_factor(spec)}" for spec, n in pairs)


def _would_do(table: ImageTable, specs: Sequence[TaskSpec]) -> str:
    protocol = specs[0].protocol
    if protocol not in TRAIN_COUNTS:
        return "use --protocol balanced"
    counts = TRAIN_COUNTS[protocol](table, specs[0].split_seed)
    n_max = largest_n_max(counts, specs, _most(counts, specs, len(table)))
    if n_max is None:
        return _cannot_be_had(counts, specs, len(table)).rstrip(".")
    return f"--n-max {n_max} would do"
