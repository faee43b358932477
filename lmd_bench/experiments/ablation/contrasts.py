"""What an ablation asks of its cells: changes against the reference, effects, interactions, shares.

Each is a contrast, weights of cells; combinations of toggles that are one cell add their weights.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import factorial, prod
from typing import Literal

from lmd_bench.experiments.ablation.factorial import Levels, aliases, factors_of, small_effects
from lmd_bench.experiments.ablation.record import AblationRecord

Kind = Literal["change", "main", "interaction", "shapley", "total"]
MOST_SHAPLEY = 6  # toggles whose exact shares are given: 64 cells


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of the scores of cells."""

    kind: Kind
    name: str
    title: str
    weights: Mapping[str, float]  # cell -> weight; none is 0
    aliases: tuple[str, ...] = ()  # what the design cannot tell from it: their sum is shown


def changes(record: AblationRecord) -> list[Contrast]:
    """Return each cell against the reference."""
    return [
        Contrast("change", cell.name, cell.title, {cell.name: 1.0, record.reference: -1.0})
        for cell in record.cells
        if cell.name != record.reference
    ]


def effects(record: AblationRecord) -> list[Contrast]:
    """Return main effects, interactions of two, and exact Shapley shares; none without points.

    Of effects that a fraction cannot tell apart one is listed, and names the others.
    """
    if not record.points:
        return []
    contrasts: list[Contrast] = []
    seen: set[int] = set()
    for effect in small_effects(len(record.toggles)):
        if effect in seen:
            continue
        same = [e for e in aliases(record.words, effect) if e.bit_count() <= 2]
        seen |= {effect, *same}
        kind: Kind = "main" if effect.bit_count() == 1 else "interaction"
        weights = effect_weights([point.levels for point in record.points], effect)
        names = tuple(_title(record, other) for other in same)
        name = " x ".join(record.toggles[factor][0] for factor in factors_of(effect))
        contrasts.append(
            Contrast(kind, name, _title(record, effect), _by_cell(record, weights), names)
        )
    return contrasts + _shapley(record)


def without_shares(record: AblationRecord) -> str:
    """Return why there are no Shapley shares; nothing where there are, or no factorial was run."""
    if not record.points:
        return ""
    if record.words:
        return "Shapley shares need the full factorial (--mode full)"
    if len(record.toggles) > MOST_SHAPLEY:
        return f"exact Shapley shares are given for at most {MOST_SHAPLEY} toggles"
    return ""


def design_sentence(record: AblationRecord) -> str:
    """Return what kind of factorial was run: its size, generators, resolution."""
    if not record.points:
        return ""
    n, k = len(record.points), len(record.toggles)
    if record.resolution is None:
        return f"Full factorial: all {n} combinations of {k} toggles."
    equations = ", ".join(_generator(record, word) for word in record.generators)
    roman = {3: "III", 4: "IV", 5: "V"}.get(record.resolution, f"{record.resolution}")
    return (
        f"Fractional factorial: {n} of the {2**k} combinations of {k} toggles, resolution {roman}; "
        f"generators {equations}."
    )


def effect_weights(points: Sequence[Levels], effect: int) -> tuple[float, ...]:
    """Return the contrast of a main effect or an interaction over the points of a design.

    Each point counts 2 / n, with the product of the levels (+1 on, -1 off) of the effect's factors
    as its sign; the points must balance them, as those of a factorial do.
    """
    factors = factors_of(effect)
    signs = [prod(1 if levels[factor] else -1 for factor in factors) for levels in points]
    assert sum(signs) == 0, "an effect is read from as many points of either sign"
    return tuple(2.0 * sign / len(points) for sign in signs)


def shapley_weights(points: Sequence[Levels], factor: int) -> tuple[float, ...]:
    """Return the contrast of a toggle's Shapley value over the points of a full factorial."""
    k = len(points[0])
    assert len(set(points)) == 2**k, "Shapley values need every combination of the toggles"
    weights: list[float] = []
    for levels in points:
        others = sum(levels) - levels[factor]
        weight = factorial(others) * factorial(k - others - 1) / factorial(k)
        weights.append(weight if levels[factor] else -weight)
    return tuple(weights)


def total_weights(points: Sequence[Levels]) -> tuple[float, ...]:
    """Return the contrast of all toggles on less all off, what the Shapley values add up to."""
    return tuple(float(all(levels)) - float(not any(levels)) for levels in points)


def _shapley(record: AblationRecord) -> list[Contrast]:
    if without_shares(record):
        return []
    points = [point.levels for point in record.points]
    shares = [
        Contrast("shapley", name, title, _by_cell(record, shapley_weights(points, factor)))
        for factor, (name, title) in enumerate(record.toggles)
    ]
    total = _by_cell(record, total_weights(points))
    return [*shares, Contrast("total", "all", "all on less all off", total)]


def _by_cell(record: AblationRecord, weights: Sequence[float]) -> dict[str, float]:
    sums: dict[str, float] = defaultdict(float)
    for point, weight in zip(record.points, weights, strict=True):
        sums[point.cell] += weight
    return {cell: weight for cell, weight in sums.items() if abs(weight) > 1e-12}


def _title(record: AblationRecord, effect: int) -> str:
    return " × ".join(record.toggles[factor][1] for factor in factors_of(effect))


def _generator(record: AblationRecord, word: int) -> str:
    *own, bound = factors_of(word)
    product = " × ".join(record.toggles[factor][0] for factor in own)
    return f"{record.toggles[bound][0]} = {product}"
