"""Which values the files of a data set hold, before they become grey levels.

Files of 8 bits use their range by their nature; only those of more bits are opened whole.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lmd_bench.core.errors import UserError
from lmd_bench.data.datasets import Dataset
from lmd_bench.data.datasets._decode import FileValues, UnreadableImageError
from lmd_bench.data.intensity import AUTO, FULL, Levels, parse_levels, used_levels

_FEW_LEVELS = 128  # of 256; fewer leave a bit of the eight unused
# No file of such an ending has more than 8 bits a value, or pages.
_NARROW = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp", ".gif"})


@dataclass(frozen=True)
class Values:
    """What files of more than 8 bits hold, and how many of those looked at have several pages."""

    n_images: int
    n_looked_at: int
    wide: tuple[FileValues, ...]
    n_paged: int

    @property
    def low(self) -> float:
        """Return the smallest value."""
        return min(values.low for values in self.wide)

    @property
    def high(self) -> float:
        """Return the largest value."""
        return max(values.high for values in self.wide)

    @property
    def whole(self) -> bool:
        """Return whether there are whole numbers only."""
        return all(values.whole for values in self.wide)

    @property
    def bits(self) -> int:
        """Return the bits of the widest type."""
        return max(values.bits for values in self.wide)

    def notes(self, intensity: str) -> list[str]:
        """Return what a person should know of them, as parts of a sentence.

        Args:
            intensity: that was asked for.
        """
        of = f" (of {self.n_looked_at} looked at)" if self.n_looked_at < self.n_images else ""
        notes: list[str] = []
        if self.n_paged:
            what = "have several pages or frames, of which the first is read"
            notes.append(f"{self.n_paged} files{of} {what}")
        if not self.wide:
            return notes
        if intensity != FULL:
            notes.append(f"{self.described(of)}; --intensity {intensity} maps them")
            return notes
        # Of a file with a window, or of 32 bits, the type says nothing of the range.
        plain = replace(self, wide=tuple(v for v in self.wide if v.span is not None))
        if plain.wide:
            span = max(v.span or 0.0 for v in plain.wide)
            n_levels = int(255 * (plain.high - min(plain.low, 0)) / span) + 1
            if n_levels <= _FEW_LEVELS:
                notes.append(
                    f"{plain.described(of)}, so they use {plain.bits_used} bits and {n_levels} of "
                    "256 grey levels; --intensity auto takes the range in use"
                )
        return notes

    @property
    def bits_used(self) -> int:
        """Return the bits that whole numbers over this range take."""
        return int(self.high - min(self.low, 0)).bit_length()

    def described(self, of: str) -> str:
        """Return how many files there are, and what they hold."""
        style = ",.0f" if self.whole else ",.6g"
        values = f"{self.low:{style}} to {self.high:{style}}"
        return f"{len(self.wide)} files{of} of {self.bits} bits hold values {values}"


def look_at_values(
    data: Dataset,
    sources: Sequence[tuple[str, Path | None]],
    n_threads: int,
    at_most: int | None = None,
) -> Values:
    """Return what the files of images hold; those that cannot be read are passed over.

    Args:
        data: the data set.
        sources: an id and a file each.
        n_threads: files opened at once.
        at_most: files that are looked at, evenly spaced; None: all.
    """
    able = [source for source in sources if data.opens_files and _may_be_wide(source[1])]
    if at_most is not None and len(able) > at_most:
        able = [able[row] for row in np.linspace(0, len(able) - 1, at_most).astype(int)]

    def looked(source: tuple[str, Path | None]) -> tuple[FileValues | None, int]:
        image_id, path = source
        try:
            return data.inspect(image_id, path)
        except (UnreadableImageError, OSError):
            return None, 1

    with ThreadPoolExecutor(n_threads) as pool:
        files = list(pool.map(looked, able))
    wide = tuple(values for values, _ in files if values is not None)
    n_looked_at = len(able) if at_most is not None and len(able) == at_most else len(sources)
    return Values(len(sources), n_looked_at, wide, sum(n_pages > 1 for _, n_pages in files))


def settle_levels(
    data: Dataset, intensity: str, sources: Sequence[tuple[str, Path | None]], n_threads: int
) -> Levels | None:
    """Return the values that become black and white; None where the files' types say it.

    Args:
        data: the data set.
        intensity: full, auto or window:LOW,HIGH.
        sources: an id and a file of each image.
        n_threads: files opened at once.

    Raises:
        UserError: the images of this data set are no files.
    """
    if intensity == FULL:
        return None
    if not data.opens_files:
        raise UserError(
            f"--intensity {intensity} does not apply to data set '{data.card.name}', whose images "
            "have 8 bits; leave it out."
        )
    if intensity != AUTO:
        return parse_levels(intensity)
    values = look_at_values(data, sources, n_threads)
    if not values.wide:
        return None
    return used_levels(values.low, values.high, whole=values.whole)


def _may_be_wide(path: Path | None) -> bool:
    return path is not None and path.suffix.lower() not in _NARROW
