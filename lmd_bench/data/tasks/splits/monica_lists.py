"""Lists of images, a file for each split: MONICA's arrays of file names, or text.

Source: Ju et al., MONICA, https://github.com/PyJulie/MONICA, folder `numpy`: for each data set
`train_100.npy`, `val_100.npy` and `test_100.npy` (the number is the imbalance factor; some have
none, and MedMNIST's have the data set in front, `dermamnist_train.npy`) and `dic.npy`. An image of
MedMNIST is called `train_1327_5.jpg`: its split and row in the `.npz`, and its label.

The lists are plain arrays of text and are read as such. `dic.npy`, the labels, is a pickled Python
object: it is never opened, since unpickling runs whatever the file says; labels are those of the
data set. Text has one image a line (`path` or `path label`, as DDR and ImageNet-LT have it), with a
blank, a comma, a semicolon or a tab before the label.
"""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from lmd_bench.core.errors import UserError
from lmd_bench.data.file_names import SplitName
from lmd_bench.data.image_suffixes import SUFFIXES
from lmd_bench.data.tasks.splits.families import Family
from lmd_bench.data.tasks.splits.published import Listed, Published

_MEDMNIST = re.compile(r"(?P<split>train|val|test)_(?P<row>\d+)_(?P<label>\d+)\.\w+")
_HEADERS = frozenset({"image", "image_id", "filename", "file_name", "file", "path", "image_path"})
_DELIMITERS = ("\t", ";", ",", " ")


def read_lists(family: Family) -> Published:
    """Return the images of a family's lists.

    Raises:
        UserError: a list that is not plain text.
    """
    images = [listed for split, file in family.files.items() for listed in read_list(file, split)]
    return Published(family.folder, tuple(images))


def read_list(file: Path, split: SplitName) -> list[Listed]:
    """Return the images of an array or a text.

    Raises:
        UserError: it is not plain text.
    """
    return (_read_array if file.suffix.lower() == ".npy" else read_text)(file, split)


def _read_array(file: Path, split: SplitName) -> list[Listed]:
    try:
        names = np.load(file, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise _refused(file) from error
    if names.dtype.kind != "U" or names.ndim != 1:
        raise _refused(file)
    return [_of_array(str(name), split) for name in names]


def _of_array(name: str, split: SplitName) -> Listed:
    if (match := _MEDMNIST.fullmatch(name)) is None:
        return Listed(name, split)
    # The id of the image of this row, as its data set is read.
    return Listed(f"{match['split']}-{int(match['row']):06d}", split, match["label"])


def _refused(file: Path) -> UserError:
    return UserError(
        f"{file} is no plain array of text; pickled objects are never opened here, since that runs "
        f"what the file says: write the names to {file.with_suffix('.txt').name}, one a line, and "
        "put it in place of this file."
    )


def read_text(file: Path, split: SplitName) -> list[Listed]:
    """Return the images of a text without a header, or with one that begins with `image`.

    Raises:
        UserError: it is not UTF-8.
    """
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The split file {file} cannot be read ({error}); mend it.") from error
    lines = list(filter(None, lines))
    if lines and re.split(r"[\t;, ]", lines[0])[0].lower() in _HEADERS:
        lines = lines[1:]
    delimiter = _delimiter(lines)
    return [Listed(name, split, label) for name, label in (_parts(x, delimiter) for x in lines)]


def _delimiter(lines: Sequence[str]) -> str:
    """Return what stands before the labels; names of images may hold it too."""

    def follows_an_image(line: str, delimiter: str) -> bool:
        before, found, _ = line.rpartition(delimiter)
        return bool(found) and (is_image(before) or is_image(line.split(delimiter)[0]))

    for delimiter in _DELIMITERS:
        if lines and all(follows_an_image(line, delimiter) for line in lines):
            return delimiter
    if any(map(is_image, lines)):
        return " "
    return next((d for d in _DELIMITERS if lines and all(d in line for line in lines)), " ")


def _parts(line: str, delimiter: str) -> tuple[str, str | None]:
    """Return the image and the label of a line; a last part with an image's ending is no label."""
    first, *others = (part.strip().strip('"') for part in line.split(delimiter))
    if not others or is_image(others[-1]):
        return line.strip('"'), None
    if delimiter != " " and is_image(first):
        return first, others[0] or None
    return line.rpartition(delimiter)[0].strip().strip('"'), others[-1] or None


def is_image(name: str) -> bool:
    """Return whether a name has the ending of an image."""
    return PurePosixPath(name.strip('"')).suffix.lower() in SUFFIXES
