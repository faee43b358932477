"""Splits as `lmd-bench check --split-out` writes them, and reading them back.

A folder of training.csv, validation.csv and testing.csv (image, label, class_name, group) and
split.json, which says what task this is: its fingerprint, what it was cut from, and the SHA-256 of
each CSV, so that a changed file is noticed. The folder is written under another name and renamed.
"""

import csv
import hashlib
import io
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from lmd_bench.core.errors import UserError
from lmd_bench.data.csv_rows import read_rows
from lmd_bench.data.table import ImageTable
from lmd_bench.data.tasks.split import Split
from lmd_bench.data.tasks.splits.lmd_csv import FILES
from lmd_bench.data.tasks.splits.published import Listed, Published

ABOUT = "split.json"
_COLUMNS = ("image", "label", "class_name", "group")


def is_written(folder: Path) -> bool:
    """Return whether `folder` was written by `write_split`."""
    return (folder / ABOUT).is_file()


def write_split(folder: Path, table: ImageTable, split: Split, about: Mapping[str, Any]) -> None:
    """Write a split; the same split again is left as it is.

    Args:
        folder: made now, or empty, or holding this very split.
        table: the images.
        split: rows of `table`.
        about: what split.json says beside the checksums; JSON-able.

    Raises:
        UserError: the folder holds something else, or cannot be written.
    """
    rows = {"train": split.train, "val": split.val, "test": split.test}
    texts = {FILES[name]: _csv_text(table, rows[name]) for name in FILES}
    checksums = {name: _sha256(text.encode()) for name, text in texts.items()}
    texts[ABOUT] = json.dumps({**about, "sha256": checksums}, indent=2) + "\n"
    try:
        if _holds(folder, texts[ABOUT]):
            return
        partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
        partial.mkdir(parents=True)
        try:
            for name, text in texts.items():
                (partial / name).write_bytes(text.encode())
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise UserError(
            f"The split cannot be written to {folder} ({error}); name a folder that can be written."
        ) from error


def read_written(folder: Path) -> Published:
    """Return the images of a written split.

    Raises:
        UserError: a file is absent or was changed since it was written.
    """
    images: list[Listed] = []
    checksums = _checksums(folder)
    for split, name in FILES.items():
        file = folder / name
        if not file.is_file() or _sha256(file.read_bytes()) != checksums.get(name):
            raise UserError(
                f"{file} is not the file that {folder / ABOUT} describes; write the split again, "
                f"or delete {ABOUT} and keep the columns of LMD's split files."
            )
        # Names of files may begin or end with a blank, and these are as they were written.
        rows = read_rows(file, _COLUMNS, delimiter=",", strip=False)
        images += [Listed(row["image"], split, row["class_name"]) for row in rows]
    return Published(folder, tuple(images))


def _checksums(folder: Path) -> dict[str, str]:
    try:
        return dict(json.loads((folder / ABOUT).read_text())["sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder / ABOUT} is not what lmd-bench wrote; write the split again with --split-out."
        ) from error


def _holds(folder: Path, about: str) -> bool:
    if not folder.exists():
        return False
    if not folder.is_dir():
        raise UserError(f"{folder} is a file; name a folder for --split-out.")
    if not any(folder.iterdir()):
        return False
    if is_written(folder) and (folder / ABOUT).read_text() == about:
        return True
    raise UserError(f"{folder} already holds other files; name another folder for --split-out.")


def _csv_text(table: ImageTable, rows: Int64[np.ndarray, " rows"]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        label = int(table.labels[row])
        name = table.class_names[label]
        writer.writerow([table.image_ids[row], label, name, table.groups[row]])
    return stream.getvalue()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
