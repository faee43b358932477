"""What a published split says, however its files are laid out."""

from dataclasses import dataclass
from pathlib import Path

from lmd_bench.data.file_names import SplitName as SplitName


@dataclass(frozen=True)
class Listed:
    """One image as a split file names it."""

    name: str  # an id, a file name or a path
    split: SplitName
    label: str | None = None  # the class in the file's own words or numbers; None: not stated


@dataclass(frozen=True)
class Published:
    """A split as it was published, before it is matched with the images that are present."""

    path: Path  # what was read, for messages
    images: tuple[Listed, ...]
    seeded: bool = False  # the split seed chose among what was published, such as folds
