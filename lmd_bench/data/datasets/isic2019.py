"""ISIC 2019: 25,331 dermoscopic images in eight classes, from HAM10000, BCN20000 and MSK.

Combalia et al.: BCN20000, dermoscopic lesions in the wild, 2019, https://arxiv.org/abs/1908.02288.
Codella et al.: Skin lesion analysis toward melanoma detection, 2017, https://arxiv.org/abs/1710.05006.
Tschandl et al.: The HAM10000 dataset, 2018, https://doi.org/10.1038/sdata.2018.161.
With protocol `lmd` and factors 100, 200 and 500 this is the ISIC-2019-LT of the literature.
"""

from pathlib import Path

import numpy as np

from lmd_bench.core.errors import UserError
from lmd_bench.data.csv_rows import read_rows
from lmd_bench.data.datasets._base import Dataset, unpacked
from lmd_bench.data.datasets._csv import check_ids, one_hot
from lmd_bench.data.table import DatasetCard, ImageTable, PublishedFile, own_group

GROUND_TRUTH = "ISIC_2019_Training_GroundTruth.csv"
METADATA = "ISIC_2019_Training_Metadata.csv"
IMAGES = "ISIC_2019_Training_Input"
_ARCHIVE = "https://isic-challenge-data.s3.amazonaws.com/2019"


class Isic2019(Dataset):
    """The training part of ISIC 2019 in its published layout; the column UNK is dropped."""

    card = DatasetCard(
        name="isic2019",
        title="ISIC 2019, dermoscopic images of skin lesions",
        class_names=("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC"),
        licence="CC BY-NC 4.0",
        citation=(
            "Combalia et al., arXiv:1908.02288; Codella et al., arXiv:1710.05006; "
            "Tschandl et al., doi:10.1038/sdata.2018.161"
        ),
        url="https://challenge.isic-archive.com/data/#2019",
        how_to_get=(
            f"Download {IMAGES}.zip, {GROUND_TRUTH} and {METADATA} from "
            "https://challenge.isic-archive.com/data/#2019 and unpack them into one folder that "
            f"then holds the two CSV files and {IMAGES}/."
        ),
        expected_counts=(4522, 12875, 3323, 867, 2624, 239, 253, 628),
        group="lesion",
        splits="LMD's ISIC2019LT files and MONICA's lists, with --split-dir",
    )
    aliases = ("isic",)
    images_from = ("ham10000",)
    tables = (GROUND_TRUTH, METADATA)
    image_folders = unpacked(IMAGES)
    isic_names = True
    # No checksum is published with them.
    published = (
        PublishedFile(GROUND_TRUTH, f"{_ARCHIVE}/{GROUND_TRUTH}"),
        PublishedFile(METADATA, f"{_ARCHIVE}/{METADATA}"),
        PublishedFile(f"{IMAGES}.zip", f"{_ARCHIVE}/{IMAGES}.zip", into=IMAGES),
    )

    def read(self, root: Path | None) -> ImageTable:
        """Return all images of the ground truth, in its order, with their lesions."""
        folder = self.check_root(root)
        file, names = folder / GROUND_TRUTH, self.card.class_names
        rows = read_rows(file, ("image", *names), how_to_get=self.card.how_to_get)
        image_ids = tuple(check_ids(file, rows, "image"))
        labels = [one_hot(file, row, names) for row in rows]
        lesions = self._lesions(folder / METADATA)
        absent = [image_id for image_id in image_ids if image_id not in lesions]
        if absent:
            raise UserError(
                f"{folder / METADATA} does not list image {absent[0]} and {len(absent) - 1} more "
                f"of {GROUND_TRUTH}; put the two published files of one release side by side."
            )
        return ImageTable(
            image_ids=image_ids,
            labels=np.array(labels, dtype=np.int64),
            groups=tuple(lesions[image_id] or own_group(image_id) for image_id in image_ids),
            class_names=names,
        )

    def _lesions(self, file: Path) -> dict[str, str]:
        rows = read_rows(file, ("image", "lesion_id"), how_to_get=self.card.how_to_get)
        check_ids(file, rows, "image")
        return {row["image"]: row["lesion_id"] for row in rows}
