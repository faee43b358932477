"""Data sets of a list `labels.csv` (image, label and, if known, group) beside `images/`."""

from pathlib import Path
from typing import ClassVar

import numpy as np

from lmd_bench.data.csv_rows import read_rows
from lmd_bench.data.datasets._base import Dataset
from lmd_bench.data.datasets._csv import check_ids, label_of
from lmd_bench.data.table import ImageTable, own_group

LABELS = "labels.csv"
IMAGES = "images"


class Labelled(Dataset):
    """Images in one folder and a CSV of their classes."""

    tables = (LABELS,)
    image_folders = (IMAGES,)
    columns_of_csv: ClassVar[tuple[str, ...]] = ("image", "label")

    def read(self, root: Path | None) -> ImageTable:
        """Return all images of `labels.csv`, in its order."""
        file, names = self.check_root(root) / LABELS, self.card.class_names
        rows = read_rows(
            file, self.columns_of_csv, how_to_get=self.card.how_to_get, mend="mend the file"
        )
        ids = [Path(image).stem for image in check_ids(file, rows, "image")]
        labels = [label_of(file, row, "label", names) for row in rows]
        groups = [row.get("group", "") or own_group(i) for i, row in zip(ids, rows, strict=True)]
        return ImageTable(
            image_ids=tuple(ids),
            labels=np.array(labels, dtype=np.int64),
            groups=tuple(groups),
            class_names=names,
        )
