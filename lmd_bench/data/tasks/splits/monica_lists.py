"""MONICA's lists: train, val and test as arrays of file names, or as text.

Source: Ju et al., MONICA, https://github.com/PyJulie/MONICA, folder `numpy`: for each data set
`train_100.npy`, `val_100.npy` and `test_100.npy` (the number is the imbalance factor; some have
none, and MedMNIST's have the data set in front, `dermamnist_train.npy`) and `dic.npy`.

The lists are plain arrays of text and are read as such. `dic.npy`, the labels, is a pickled Python
object: it is never opened, since unpickling runs whatever the file says; labels are those of the
data set. Lists saved as `.txt` with one image a line, `path` or `path label`, are read as well.
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lmd_bench.core.errors import UserError
from lmd_bench.data.tasks.splits.published import Listed, Published, SplitName

_NAME = re.compile(r"(?P<before>(?:.+_)?)(?P<split>train|val|test)(?P<after>(?:_.+)?)\.(npy|txt)")
_SPLITS: tuple[SplitName, ...] = ("train", "val", "test")


class Family(NamedTuple):
    """The lists of one split: what stands before and after train, val and test in their names."""

    folder: Path
    before: str
    after: str
    suffix: str

    def file(self, split: SplitName) -> Path:
        """Return the list of one split."""
        return self.folder / f"{self.before}{split}{self.after}{self.suffix}"


def families(path: Path) -> list[Family]:
    """Return the complete families of lists in a folder; for one list, the family it is of."""
    candidates = [path] if path.is_file() else sorted(path.iterdir())
    complete: dict[Family, None] = {}
    for file in candidates:
        if match := _NAME.fullmatch(file.name):
            family = Family(file.parent, match["before"], match["after"], file.suffix)
            if all(family.file(split).is_file() for split in _SPLITS):
                complete[family] = None
    return list(complete)


def read_lists(family: Family) -> Published:
    """Return the images of a family's three lists.

    Raises:
        UserError: a list that is not plain text.
    """
    read = _read_array if family.suffix == ".npy" else _read_text
    images = [listed for split in _SPLITS for listed in read(family.file(split), split)]
    return Published(family.folder, tuple(images))


def _read_array(file: Path, split: SplitName) -> list[Listed]:
    try:
        names = np.load(file, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise _refused(file) from error
    if names.dtype.kind != "U" or names.ndim != 1:
        raise _refused(file)
    return [Listed(str(name), split) for name in names]


def _refused(file: Path) -> UserError:
    return UserError(
        f"{file} is no plain array of text; pickled objects are never opened here, since that runs "
        f"what the file says: write the names to {file.with_suffix('.txt').name}, one a line, and "
        "put it in place of this file."
    )


def _read_text(file: Path, split: SplitName) -> list[Listed]:
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The split file {file} cannot be read ({error}); mend it.") from error
    images: list[Listed] = []
    for line in filter(None, lines):
        name, _, label = line.rpartition(" ")
        images.append(Listed(name.strip(), split, label) if name else Listed(label, split))
    return images
