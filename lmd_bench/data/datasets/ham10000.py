"""HAM10000: 10,015 dermatoscopic images of 7,470 pigmented skin lesions in seven classes.

Tschandl, Rosendahl, Kittler: The HAM10000 dataset, a large collection of multi-source dermatoscopic
images of common pigmented skin lesions. Scientific Data 5, 2018. https://doi.org/10.1038/sdata.2018.161
"""

from pathlib import Path

import numpy as np

from lmd_bench.data.datasets._base import Dataset, unpacked
from lmd_bench.data.datasets._ham import (
    CLASSES,
    GROUPINGS,
    METADATA,
    PARTS,
    image_folders,
    read_list,
    truth_files,
)
from lmd_bench.data.table import DatasetCard, ImageTable, PublishedFile

_TRUTH = truth_files("Training")
_DATAVERSE = "https://dataverse.harvard.edu/api/access/datafile"


class Ham10000(Dataset):
    """HAM10000 as Dataverse or ISIC 2018 gives it: a list, and the images in one folder or two."""

    card = DatasetCard(
        name="ham10000",
        title="HAM10000, dermatoscopic images of pigmented lesions",
        class_names=CLASSES,
        licence="CC BY-NC 4.0",
        citation="Tschandl et al., Scientific Data 5 (2018), doi:10.1038/sdata.2018.161",
        url="https://doi.org/10.7910/DVN/DBW86T",
        how_to_get=(
            "Download HAM10000_metadata, HAM10000_images_part_1.zip and HAM10000_images_part_2.zip "
            "from https://doi.org/10.7910/DVN/DBW86T and unpack them into one folder that then "
            f"holds {METADATA[0]}, HAM10000_images_part_1/ and HAM10000_images_part_2/; the "
            "training files of ISIC 2018, task 3, are the same."
        ),
        expected_counts=(327, 514, 1099, 115, 1113, 6705, 142),
        group="lesion",
    )
    aliases = ("ham",)
    tables = (*METADATA, *_TRUTH, GROUPINGS)
    image_folders = (*unpacked(*PARTS, *image_folders("Training")), ".")
    # The sums and sizes that Harvard Dataverse shows for these files.
    published = (
        PublishedFile(
            METADATA[0],
            f"{_DATAVERSE}/4338392?format=original",
            "md5:8f85fb1aa29d80a2797247e434deb79d",
        ),
        PublishedFile(
            "HAM10000_images_part_1.zip",
            f"{_DATAVERSE}/3172585",
            "md5:4639bfa73ab251610530a97c898e6e46",
            1_366_522_108,
            into="HAM10000_images_part_1",
        ),
        PublishedFile(
            "HAM10000_images_part_2.zip",
            f"{_DATAVERSE}/3172584",
            "md5:da43d6cc50f6613013be07e8986b384b",
            1_403_566_547,
            into="HAM10000_images_part_2",
        ),
    )

    def read(self, root: Path | None) -> ImageTable:
        """Return all images listed in the metadata, in its order."""
        file = self.file(root, (*METADATA, *_TRUTH))
        lesions = self.check_root(root) / GROUPINGS
        ids, labels, groups = read_list(file, lesions, self.card.how_to_get)
        return ImageTable(tuple(ids), np.array(labels, dtype=np.int64), tuple(groups), CLASSES)

    def notes(self, root: Path | None) -> tuple[str, ...]:
        """Return that the test images of ISIC 2018 lie there too, and what reads them."""
        if not self.file(root, truth_files("Test")).is_file():
            return ()
        return (
            "the test images of ISIC 2018 lie there too: --dataset isic2018 takes them as test",
        )
