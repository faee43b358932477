"""Splits as CSVs, one for train, val and test each; those that LMD's authors publish among them.

LMD, https://github.com/peterlipan/LMD: training.csv, validation.csv and testing.csv. ISIC2019LT and
ISIC_Archive have the column `image` and a column of 0 and 1 for each class; hyper-kvasir has
`Video file` and names the class in `Finding`. Ids have no suffix. An `overall.csv` beside them is
not read.

Others call the columns otherwise (`image_id` and `dx`, `id_code` and `diagnosis`, `image` and
`level`); a CSV without a header is read as a list. The class of an image may be left out.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from lmd_bench.core.errors import UserError
from lmd_bench.data.csv_rows import Row, read_rows
from lmd_bench.data.file_names import SplitName
from lmd_bench.data.tasks.splits.families import Family
from lmd_bench.data.tasks.splits.monica_lists import is_image, read_text
from lmd_bench.data.tasks.splits.published import Listed, Published

FILES: dict[SplitName, str] = {
    "train": "training.csv",
    "val": "validation.csv",
    "test": "testing.csv",
}
# in lower case, the first that a file has
_IMAGES = (
    *("image", "video file", "image_id", "image_path", "image_name", "imagename", "images"),
    *("filename", "file_name", "file", "filepath", "file_path", "path", "img", "img_path"),
    *("isic_id", "id_code", "id", "name"),
)
_LABELS = (
    *("class_name", "finding", "label", "class", "dx", "diagnosis", "level", "target"),
    *("category", "labels", "label_name", "finding labels"),
)
_ONE, _ZERO = ("1", "1.0"), ("0", "0.0")
_MEND = "mend the file, or put the published one in its place"


def is_lmd(folder: Path) -> bool:
    """Return whether LMD's three files lie in `folder`."""
    return all((folder / name).is_file() for name in FILES.values())


def read_lmd(folder: Path) -> Published:
    """Return the images of LMD's three files with their classes.

    Raises:
        UserError: a file that cannot be read, or without a column of images.
    """
    return read_csvs(Family(folder, ".csv", {name: folder / file for name, file in FILES.items()}))


def read_csvs(family: Family) -> Published:
    """Return the images of a CSV for each split, with their classes where it says them.

    Raises:
        UserError: a file that cannot be read, or without a column of images.
    """
    images = [listed for split, file in family.files.items() for listed in read_csv(file, split)]
    return Published(family.folder, tuple(images))


def read_csv(file: Path, split: SplitName) -> list[Listed]:
    """Return the images of one CSV, with their classes where it says them.

    Raises:
        UserError: it cannot be read, or has no column of images.
    """
    if _has_no_header(file):
        return read_text(file, split)
    rows = read_rows(file, mend=_MEND)
    image = _first(rows[0], _IMAGES)
    if image is None:
        raise UserError(
            f"The split file {file} has the columns {', '.join(rows[0])}; a split has `image` "
            "(or image_id, filename, path, ...) and may have `label` (or dx, diagnosis, ...) "
            "or a column of 0 and 1 for each class."
        )
    label = _label_reader(file, rows, image)
    return [Listed(row[image], split, label(row)) for row in rows]


def _label_reader(file: Path, rows: Sequence[Row], image: str) -> Callable[[Row], str | None]:
    """Return what gives the class of a row: a column of names, columns of 0 and 1, or nothing."""
    label = _first(rows[0], _LABELS)
    if label is not None and label != image:
        return lambda row: row[label] or None
    classes = [name for name in rows[0] if name not in (image, "")]
    one_hot = all(row[name] in (*_ONE, *_ZERO) for row in rows for name in classes)
    if len(classes) < 2 or not one_hot:
        return lambda row: None

    def of_ones(row: Row) -> str:
        ones = [name for name in classes if row[name] in _ONE]
        if len(ones) != 1:
            raise UserError(
                f"{file}, line {row.line}: image {row[image]} is of {len(ones)} classes; exactly "
                f"one class must be 1: {_MEND}, or name the class in a column `label`."
            )
        return ones[0]

    return of_ones


def _has_no_header(file: Path) -> bool:
    with file.open(encoding="utf-8-sig", errors="replace") as stream:
        return any(map(is_image, re.split(r"[,;\t]", stream.readline().strip())))


def _first(header: Row, names: Sequence[str]) -> str | None:
    lower = {name.lower(): name for name in header}
    return next((lower[name] for name in names if name in lower), None)
