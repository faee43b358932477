"""TODO."""

from collections.abc import Iterable

from lmd_bench.core.errors import UserError
from lmd_bench.data.build import NATURAL


def split_commas(texts: Iterable[str]) -> list[str]:
    """Return the distinct names of ["a,b", "a"] in order."""
    names = [name.strip() for text in texts for name in text.split(",")]
    return list(dict.fromkeys(name for name in names if name))


def parse_factors(texts: Iterable[str]) -> list[float | None]:
    """Return imbalance factors; `natural` is None.

    Raises:
        UserError: neither a number of at least 1 nor `natural`.
    """
    return [_factor(text) for text in split_commas(texts)]


def _factor(text: str) -> float | None:
    if text == NATURAL:
        return None
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 1.0 <= factor < float("inf"):
        raise UserError(
            f"Imbalance factor '{text}' is not possible; give a number of at least 1, the ratio "
            f"of the largest to the smallest training class, or `{NATURAL}`."
        )
    return factor
