"""Which reader a folder of published splits needs; decided by the files that lie in it."""

from pathlib import Path

from lmd_bench.core.errors import UserError
from lmd_bench.data.tasks.splits.families import families
from lmd_bench.data.tasks.splits.hyper_kvasir_folds import fold_files, read_folds
from lmd_bench.data.tasks.splits.lmd_csv import is_lmd, read_csvs, read_lmd
from lmd_bench.data.tasks.splits.monica_lists import read_lists
from lmd_bench.data.tasks.splits.published import Published
from lmd_bench.data.tasks.splits.written import is_written, read_written


def read_published(path: Path, split_seed: int) -> Published:
    """Return the split that lies in a folder, or that one of several files in it stands for.

    Args:
        path: the folder; or a fold file, or one of the three lists, where there are several.
        split_seed: chooses among folds.

    Raises:
        UserError: no split is there, several are, or one cannot be read.
    """
    if not path.exists():
        raise UserError(f"There is no folder {path}; --split-dir names a folder of split files.")
    if path.is_dir() and is_written(path):
        return read_written(path)
    if path.is_dir() and is_lmd(path):
        return read_lmd(path)
    folds, lists = fold_files(path), families(path)
    candidates = folds + [family.first for family in lists]
    if len(candidates) > 1:
        raise UserError(
            f"{path} holds several splits; name one with --split-dir: "
            f"{', '.join(str(file) for file in candidates)}."
        )
    if folds:
        return read_folds(folds[0], split_seed)
    if lists:
        (family,) = lists
        return (read_lists if family.ending in (".npy", ".txt") else read_csvs)(family)
    raise UserError(
        f"{path} holds no split that is known; it needs training.csv, validation.csv and "
        "testing.csv (LMD, or --split-out), 2_fold_split.csv or 5_fold_split.csv (Hyper-Kvasir), "
        "or lists train, val (or valid, dev) and test as .csv, .tsv, .tab, .txt or .npy (MONICA)."
    )
