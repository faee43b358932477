"""The official folds of Hyper-Kvasir: 2_fold_split.csv and 5_fold_split.csv.

Source: Borgli et al., HyperKvasir, Scientific Data 7, 2020,
https://doi.org/10.1038/s41597-020-00622-y; files in https://github.com/simula/hyper-kvasir.
Lines are `file-name;class-name;split-index`.

The authors number the folds and give them no roles. With n folds, test is fold (seed mod n). Of
five, val is one of the four others: the one after test for split seeds 0 to 4, the next but one for
5 to 9, and so on, 20 splits in all; three folds are left to train on. Of two, the other is all
train, of which the protocol then holds out val.
"""

import re
from pathlib import Path

from lmd_bench.core.errors import UserError
from lmd_bench.data.csv_rows import read_rows
from lmd_bench.data.tasks.splits.published import Listed, Published, SplitName

_NAME = re.compile(r"\d+_fold_split\.csv")
_COLUMNS = ("file-name", "class-name", "split-index")


def fold_files(path: Path) -> list[Path]:
    """Return the fold files in a folder, or the file itself if it is one, sorted."""
    candidates = [path] if path.is_file() else path.glob("*.csv")
    return sorted(file for file in candidates if _NAME.fullmatch(file.name))


def read_folds(file: Path, split_seed: int) -> Published:
    """Return the images with the roles that `split_seed` gives to the folds.

    Raises:
        UserError: a file that cannot be read, or fewer than two folds.
    """
    rows = read_rows(file, _COLUMNS, delimiter=";")
    folds = sorted({row["split-index"] for row in rows})
    if len(folds) < 2:
        raise UserError(f"{file} has one fold; train and test need at least two.")
    roles = fold_roles(len(folds), split_seed)
    role_of = dict(zip(folds, roles, strict=True))
    images = (
        Listed(row["file-name"], role_of[row["split-index"]], row["class-name"]) for row in rows
    )
    return Published(file, tuple(images), seeded=True)


def fold_roles(n_folds: int, split_seed: int) -> tuple[SplitName, ...]:
    """Return what each of at least two folds is for; of two, none is val."""
    test = split_seed % n_folds
    roles: list[SplitName] = ["train"] * n_folds
    if n_folds > 2:
        ahead = 1 + split_seed // n_folds % (n_folds - 1)
        roles[(test + ahead) % n_folds] = "val"
    roles[test] = "test"
    return tuple(roles)
