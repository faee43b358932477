"""A folder of images and a CSV that says what they show. Put your own data set here."""

from pathlib import Path

import numpy as np

from lmd_bench.data.csv_rows import read_rows
from lmd_bench.data.datasets import Dataset
from lmd_bench.data.table import DatasetCard, ImageTable, own_group


class TemplateName(Dataset):
    """One row of `images.csv` for each image: image_id, patient and label."""

    version = 1  # raised when the same files would give other images or labels
    card = DatasetCard(
        name="template_name",
        title="What it shows",
        class_names=("benign", "malignant"),
        licence="its licence",
        citation="who made it",
        url="https://example.org",
        how_to_get="Put images.csv and the folder images/ below one folder.",
        group="patient",
    )
    tables = ("images.csv",)
    image_folders = ("images",)

    def read(self, root: Path | None) -> ImageTable:
        """Return all images that the CSV lists, in its order."""
        file = self.check_root(root) / "images.csv"
        columns = ("image_id", "patient", "label")
        rows = read_rows(file, columns, how_to_get=self.card.how_to_get)
        names = self.card.class_names
        return ImageTable(
            image_ids=tuple(row["image_id"] for row in rows),
            labels=np.array([names.index(row["label"]) for row in rows], dtype=np.int64),
            groups=tuple(row["patient"] or own_group(row["image_id"]) for row in rows),
            class_names=names,
        )
