"""Which files of a folder are one split: `train`, `val` and `test` in names that are else alike.

`train.txt, valid.txt, test.txt` is one, so is `dermamnist_train.npy, dermamnist_val.npy, ...`, and
so is `train_100.csv, val_100.csv, test_100.csv`. A split may have no val or no test.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from lmd_bench.core.errors import UserError
from lmd_bench.data.file_names import SPLITS, SplitName

ORDER: tuple[SplitName, ...] = ("train", "val", "test")
ENDINGS = (".csv", ".tsv", ".tab", ".txt", ".npy")
# What is before or after the word is parted from it; `trainLabels.csv` is EyePACS's way.
_NAME = re.compile(
    rf"(?P<before>(?:.*[_.\- ])?)(?P<word>{'|'.join(SPLITS)})(?P<after>(?:[_.\- ].*|labels?)?)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Family:
    """The files of one split."""

    folder: Path
    ending: str
    files: Mapping[SplitName, Path]

    @property
    def first(self) -> Path:
        """Return the file that stands for all, that of train."""
        return self.files["train"]


def families(path: Path) -> list[Family]:
    """Return the splits that lie in a folder; for a file, the one that it is of.

    Where some splits have all three files, others are not meant.

    Raises:
        UserError: a split has two files for one part, `val.txt` and `valid.txt`.
    """
    folder = path.parent if path.is_file() else path
    by_rest: dict[tuple[str, str, str], dict[SplitName, list[Path]]] = {}
    for file in sorted(folder.iterdir()):
        match = _NAME.fullmatch(file.stem)
        if match and file.suffix.lower() in ENDINGS and file.is_file():
            rest = (match["before"].lower(), match["after"].lower(), file.suffix.lower())
            split = SPLITS[match["word"].lower()]
            by_rest.setdefault(rest, {}).setdefault(split, []).append(file)
    named = path if path.is_file() else None
    members = [
        (rest, files)
        for rest, files in by_rest.items()
        if "train" in files and len(files) > 1
        if named is None or any(named in of_split for of_split in files.values())
    ]
    whole = [(rest, files) for rest, files in members if len(files) == len(ORDER)]
    return [_family(folder, rest[-1], files) for rest, files in whole or members]


def _family(folder: Path, ending: str, files: dict[SplitName, list[Path]]) -> Family:
    twice = next((of_split for of_split in files.values() if len(of_split) > 1), None)
    if twice is not None:
        names = " and ".join(file.name for file in twice)
        raise UserError(
            f"{folder} holds {names}, which mean the same part of a split; move one elsewhere."
        )
    one_each = {split: files[split][0] for split in ORDER if split in files}
    return Family(folder, ending, cast("Mapping[SplitName, Path]", one_each))
