"""Two-level designs: the full factorial, and regular fractions of it made by generators.

A factor is a number from 0, an effect the set of its factors as bits (1 is factor 0's main effect,
3 the interaction of factors 0 and 1). A fraction runs all combinations of its first factors, and
sets every other one to the product of some of them, its generator. That product of levels (+1 on,
-1 off) makes words, effects that are +1 at every point; two effects whose product is a word have
the same column, so their sum is all that such a design shows. The length of the shortest word is
the resolution: III confuses main effects with interactions of two factors, IV these with one
another, V neither.

Paper: Box and Hunter, The 2^(k-p) fractional factorial designs, 1961.
URL: https://doi.org/10.1080/00401706.1961.10489951
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, product

Levels = tuple[bool, ...]  # of each factor: on or off
MOST_FACTORS = 12  # of a fraction


@dataclass(frozen=True)
class Fraction:
    """A two-level design; without words it is the full factorial."""

    points: tuple[Levels, ...]  # the first has every factor on
    generators: tuple[int, ...]  # a word for each factor that is not free
    words: tuple[int, ...]  # all products of generators: the defining relation
    resolution: int | None  # None: the full factorial, in which all effects can be told apart


def full(n_factors: int) -> Fraction:
    """Return all 2^n combinations of levels."""
    return Fraction(tuple(product((True, False), repeat=n_factors)), (), (), None)


def fraction(n_factors: int, least_resolution: int = 4) -> Fraction:
    """Return the smallest regular fraction of at least this resolution that holds "all on".

    Among equal sizes the generators are as long as can be; if no fraction will do, it is the full
    factorial.
    """
    for n_free in range(1, n_factors):
        generators = _generators(n_free, n_factors - n_free, least_resolution)
        if generators is not None:
            return _made(n_factors, n_free, generators)
    return full(n_factors)


def aliases(words: Iterable[int], effect: int) -> list[int]:
    """Return the other effects that a design cannot tell from this one, shortest first."""
    return sorted((effect ^ word for word in words), key=lambda e: (e.bit_count(), e))


def small_effects(n_factors: int) -> list[int]:
    """Return all main effects and interactions of two factors."""
    singles = [1 << i for i in range(n_factors)]
    return singles + [(1 << i) | (1 << j) for i, j in combinations(range(n_factors), 2)]


def factors_of(effect: int) -> tuple[int, ...]:
    """Return the factors of an effect."""
    return tuple(i for i in range(effect.bit_length()) if effect >> i & 1)


def _made(n_factors: int, n_free: int, generators: Sequence[int]) -> Fraction:
    words = _group(generators)[1:]
    points: list[Levels] = []
    for free in product((True, False), repeat=n_free):
        levels = list(free)
        for place, word in enumerate(generators):
            own = word ^ (1 << (n_free + place))
            n_off = sum(not levels[factor] for factor in factors_of(own))
            levels.append(n_off % 2 == 0)
        points.append(tuple(levels))
    shortest = min(word.bit_count() for word in words)
    return Fraction(tuple(points), tuple(generators), tuple(words), shortest)


def _generators(n_free: int, n_bound: int, least: int) -> tuple[int, ...] | None:
    """Return words that make a design of at least this resolution; None if there are none."""
    masks = sorted(range(1, 1 << n_free), key=lambda mask: (-mask.bit_count(), mask))
    masks = [mask for mask in masks if mask.bit_count() >= least - 1]

    def extend(chosen: tuple[int, ...], group: list[int], start: int) -> tuple[int, ...] | None:
        if len(chosen) == n_bound:
            return chosen
        bit = 1 << (n_free + len(chosen))
        for place in range(start, len(masks)):
            new = [word ^ masks[place] ^ bit for word in group]
            if all(word.bit_count() >= least for word in new):
                generators = extend((*chosen, masks[place] | bit), group + new, place + 1)
                if generators is not None:
                    return generators
        return None

    return extend((), [0], 0) if len(masks) >= n_bound else None


def _group(generators: Iterable[int]) -> list[int]:
    group = [0]
    for word in generators:
        group += [word ^ other for other in group]
    return group
