"""HAM10000: 10,015 dermatoscopic images of 7,470 pigmented skin lesions in seven classes.

Tschandl, Rosendahl, Kittler: The HAM10000 dataset, a large collection of multi-source dermatoscopic
images of common pigmented skin lesions. Scientific Data 5, 2018. https://doi.org/10.1038/sdata.2018.161
"""

from pathlib import Path

import numpy as np

from lmd_bench.data.csv_rows import read_rows
from lmd_bench.data.datasets._base import Dataset
from lmd_bench.data.datasets._csv import check_ids, label_of
from lmd_bench.data.table import DatasetCard, ImageTable, own_group

METADATA = "HAM10000_metadata.csv"


class Ham10000(Dataset):
    """HAM10000 in its published layout: a CSV and the images in one folder or two."""

    card = DatasetCard(
        name="ham10000",
        title="HAM10000, dermatoscopic images of pigmented lesions",
        class_names=("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"),
        licence="CC BY-NC 4.0",
        citation="Tschandl et al., Scientific Data 5 (2018), doi:10.1038/sdata.2018.161",
        url="https://doi.org/10.7910/DVN/DBW86T",
        how_to_get=(
            "Download HAM10000_metadata, HAM10000_images_part_1.zip and HAM10000_images_part_2.zip "
            "from https://doi.org/10.7910/DVN/DBW86T and unpack them into one folder that then "
            f"holds {METADATA}, HAM10000_images_part_1/ and HAM10000_images_part_2/."
        ),
        expected_counts=(327, 514, 1099, 115, 1113, 6705, 142),
        group="lesion",
    )
    aliases = ("ham",)
    tables = (METADATA,)
    image_folders = ("HAM10000_images_part_1", "HAM10000_images_part_2", "HAM10000_images", ".")

    def read(self, root: Path | None) -> ImageTable:
        """Return all images listed in the metadata, in its order."""
        file = self.check_root(root) / METADATA
        rows = read_rows(file, ("image_id", "lesion_id", "dx"), how_to_get=self.card.how_to_get)
        image_ids = tuple(check_ids(file, rows, "image_id"))
        names = self.card.class_names
        labels = [label_of(file, row, "dx", names) for row in rows]
        return ImageTable(
            image_ids=image_ids,
            labels=np.array(labels, dtype=np.int64),
            groups=tuple(row["lesion_id"] or own_group(row["image_id"]) for row in rows),
            class_names=names,
        )
