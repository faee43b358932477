"""The splits published with LMD: training.csv, validation.csv and testing.csv in one folder.

Source: https://github.com/peterlipan/LMD. ISIC2019LT and ISIC_Archive have the column `image` and a
column of 0 and 1 for each class; hyper-kvasir has `Video file` and names the class in `Finding`.
Ids have no suffix. An `overall.csv` beside them is not read.
"""

from pathlib import Path

from lmd_bench.core.errors import UserError
from lmd_bench.data.csv_rows import Row, read_rows
from lmd_bench.data.tasks.splits.published import Listed, Published, SplitName

FILES: dict[SplitName, str] = {
    "train": "training.csv",
    "val": "validation.csv",
    "test": "testing.csv",
}


def is_lmd(folder: Path) -> bool:
    """Return whether the three files lie in `folder`."""
    return all((folder / name).is_file() for name in FILES.values())


def read_lmd(folder: Path) -> Published:
    """Return the images of the three files with their classes.

    Raises:
        UserError: a file that cannot be read, or one in neither of the two layouts.
    """
    images: list[Listed] = []
    for split, name in FILES.items():
        file = folder / name
        images += [_listed(file, row, split) for row in read_rows(file)]
    return Published(folder, tuple(images))


def _listed(file: Path, row: Row, split: SplitName) -> Listed:
    if "Video file" in row and "Finding" in row:
        return Listed(row["Video file"], split, row["Finding"])
    if "image" not in row:
        raise UserError(
            f"The split file {file} has the columns {', '.join(row)}; a split of LMD has `image` "
            "and one column for each class, or `Video file` and `Finding`."
        )
    ones = [name for name, value in row.items() if name != "image" and value in ("1", "1.0")]
    if len(ones) != 1:
        raise UserError(
            f"{file}, line {row.line}: image {row['image']} is of {len(ones)} classes; exactly one "
            "class must be 1: put the published file in its place."
        )
    return Listed(row["image"], split, ones[0])
