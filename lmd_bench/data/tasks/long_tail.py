"""Long-tail profiles: how many images each class keeps, and which classes are many, medium, few."""

import math
from collections.abc import Sequence
from typing import Literal

from lmd_bench.core.errors import UserError

Shot = Literal["many", "medium", "few"]

# A profile that is a whole number on paper must not lose an image to the last bit of a power.
_ROUNDING = 1e-9


def exponential_counts(n_max: int, imbalance_factor: float, n_classes: int) -> tuple[int, ...]:
    """Return the exponential profile, n_j = floor(n_max * IF^(-j / (K - 1))), largest first.

    Source: Cao et al., LDAM, NeurIPS 2019, https://arxiv.org/abs/1906.07413 (section 4).

    Args:
        n_max: images of the largest class, j = 0.
        imbalance_factor: n_max / n_min, at least 1.
        n_classes: K.
    """
    last = max(n_classes - 1, 1)
    return tuple(
        math.floor(n_max * imbalance_factor ** (-j / last) + _ROUNDING) for j in range(n_classes)
    )


def natural_geometric_counts(
    class_counts: Sequence[int], imbalance_factor: float
) -> tuple[int, ...]:
    """Return LMD's profile: the natural one times a geometric decay.

    With the K classes sorted by count, n_0 >= ... >= n_{K-1}, class i keeps ceil(n_i * mu^i) of
    its images, mu = (n_0 / (n_{K-1} * IF))^(1 / (K - 1)).
    Source: the code published with LMD, https://github.com/peterlipan/LMD,
    `prepare_datasets/ISIC2019LT/split.py`.

    Args:
        class_counts: images of each class, all above zero.
        imbalance_factor: wanted n_max / n_min, at least that of `class_counts`.

    Returns:
        Kept images of each class, in the order of `class_counts`.

    Raises:
        UserError: the factor is below the natural ratio, so that images would have to be invented.
    """
    order = by_count(class_counts)
    largest, smallest = class_counts[order[0]], class_counts[order[-1]]
    natural = largest / smallest
    if imbalance_factor < natural:
        possible = math.ceil(natural * 100) / 100
        raise UserError(
            f"Imbalance factor {imbalance_factor:g} is below the natural ratio of this data set "
            f"({largest} to {smallest} images) and protocol 'lmd' only ever removes images; "
            f"the smallest possible factor is {possible:g}."
        )
    mu = (largest / (smallest * imbalance_factor)) ** (1 / max(len(order) - 1, 1))
    kept = [0] * len(order)
    for i, label in enumerate(order):
        # At the natural ratio mu is 1 up to its last bit: never more than there are.
        kept[label] = min(math.ceil(class_counts[label] * mu**i), class_counts[label])
    return tuple(kept)


def groups_by_third(class_counts: Sequence[int]) -> tuple[Shot, ...]:
    """Return 'many', 'medium' or 'few' for each class, by rank of its training count.

    Thirds of the classes; what is left over goes to few first, then to medium: 2/3/3 of eight
    classes (as MONICA on ISIC 2019), 2/2/3 of seven, 2/2/2 of six. Of two one is many and one few.
    """
    n_classes = len(class_counts)
    third, left_over = divmod(n_classes, 3)
    n_few, n_medium = third + (left_over >= 1), third + (left_over >= 2)
    n_medium = 0 if n_classes == 2 else n_medium
    n_many = n_classes - n_medium - n_few
    shots: dict[int, Shot] = {}
    for rank, label in enumerate(by_count(class_counts)):
        shots[label] = "many" if rank < n_many else "medium" if rank < n_many + n_medium else "few"
    return tuple(shots[label] for label in range(n_classes))


def by_count(class_counts: Sequence[int]) -> list[int]:
    """Return the classes from most to fewest images, equal ones in class order."""
    return sorted(range(len(class_counts)), key=lambda label: class_counts[label], reverse=True)
