"""PBC: single cells of normal peripheral blood in eight classes, light microscopy.

Acevedo, Merino, Alférez, Molina, Boldú, Rodellar: A dataset of microscopic peripheral blood cell
images for development of automatic recognition systems. Data in Brief 30:105474, 2020.
https://doi.org/10.1016/j.dib.2020.105474. BloodMNIST is made from it. `ig` are immature
granulocytes. No patient is named, so cells of one may lie in two splits.
"""

from pathlib import Path

import numpy as np

from lmd_bench.data.datasets._labelled import IMAGES, LABELS, Labelled
from lmd_bench.data.table import DatasetCard, ImageTable, PublishedFile, own_group

FOLDER = "PBC_dataset_normal_DIB"
_CLASSES = (
    *("basophil", "eosinophil", "erythroblast", "ig"),
    *("lymphocyte", "monocyte", "neutrophil", "platelet"),
)


class Pbc(Labelled):
    """PBC as it is published, a folder a class, or a part of it with a list `labels.csv`."""

    card = DatasetCard(
        name="pbc",
        title="PBC, cells of normal peripheral blood (Acevedo 2020)",
        class_names=_CLASSES,
        licence="CC BY 4.0",
        citation="Acevedo et al., Data in Brief 30:105474 (2020), doi:10.1016/j.dib.2020.105474",
        url="https://doi.org/10.17632/snkd93bnjr.1",
        how_to_get=(
            f"Download {FOLDER}.zip from https://doi.org/10.17632/snkd93bnjr.1 and unpack it, so "
            f"that {FOLDER}/ holds one folder a class; or put a part of it into {IMAGES}/ beside a "
            f"{LABELS} of the columns image and label."
        ),
        expected_counts=(1218, 3117, 1551, 2895, 1214, 1420, 3329, 2348),
    )
    aliases = ("pbc_acevedo",)
    image_folders = (IMAGES, *_CLASSES, *(f"{FOLDER}/{name}" for name in _CLASSES))
    # No checksum of it is known here.
    published = (
        PublishedFile(
            f"{FOLDER}.zip",
            "https://data.mendeley.com/public-files/datasets/snkd93bnjr/files/"
            "2fc38728-2ae7-4a62-a857-032af82334c3/file_downloaded",
            into=FOLDER,
        ),
    )

    def read(self, root: Path | None) -> ImageTable:
        """Return the images of `labels.csv` in its order; without it those of the class folders."""
        if (self.check_root(root) / LABELS).is_file():
            return super().read(root)
        # The archive has a file neutrophil/.DS_169665.jpg, which is a folder's settings on macOS.
        files = [Path(e.path) for e in self.files(root) if not e.name.startswith(".")]
        found = sorted((file.parent.name, file.stem) for file in files)
        listed = [(name, image) for name, image in found if name in _CLASSES]
        if not listed:
            return super().read(root)  # says what is absent, and how to get it
        return ImageTable(
            image_ids=tuple(image for _, image in listed),
            labels=np.array([_CLASSES.index(name) for name, _ in listed], dtype=np.int64),
            groups=tuple(own_group(image) for _, image in listed),
            class_names=_CLASSES,
        )
