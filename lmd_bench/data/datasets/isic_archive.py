"""ISIC Archive, LMD's selection: 25,020 dermoscopic images of the ISIC Archive in 14 classes.

The selection, its labels and its split are those of the three files that LMD's authors publish,
https://github.com/peterlipan/LMD (`ISIC_Archive`: 17,508 / 2,509 / 5,003 images); `training.csv`,
`validation.csv` and `testing.csv` hold ids and one-hot labels. The images come from the archive,
https://www.isic-archive.com, a growing collection of many sources.

What is known of the labels is what the files show. The authors' abbreviations are not spelled out
there; by the archive's own diagnoses they are AK actinic keratosis, AMP atypical melanocytic
proliferation, AN angioma, BCC basal cell carcinoma, BKL benign keratosis, DF dermatofibroma, LK
lichenoid keratosis, LS lentigo simplex, MEL melanoma, NV naevus, SCC squamous cell carcinoma, SK
seborrhoeic keratosis, SL solar lentigo, VASC vascular lesion: our reading. 17,140 of the images are
also in ISIC 2019 and have the same label there, where BKL holds SK and SL too. How the other 7,880
were chosen is not published, so the selection cannot be made anew from the archive.

The split is by image: of the 6,918 lesions that ISIC 2019's metadata name among these images, 1,813
are in both training and test. Lesions come from the archive's metadata export; an image that it
gives no lesion, or no longer lists, is its own group.
"""

from pathlib import Path

import numpy as np

from lmd_bench.core.errors import UserError
from lmd_bench.data.csv_rows import Row, read_rows
from lmd_bench.data.datasets._base import Dataset
from lmd_bench.data.datasets._csv import check_ids, one_hot
from lmd_bench.data.table import DatasetCard, ImageTable, own_group

SPLIT_FILES = {"train": "training.csv", "val": "validation.csv", "test": "testing.csv"}
METADATA = "metadata.csv"
IMAGES = "images"


class IsicArchive(Dataset):
    """LMD's selection from the ISIC Archive: its split files, a metadata export and the images."""

    card = DatasetCard(
        name="isic_archive",
        title="ISIC Archive, LMD's selection of dermoscopic images",
        class_names=(
            *("AK", "AMP", "AN", "BCC", "BKL", "DF", "LK"),
            *("LS", "MEL", "NV", "SCC", "SK", "SL", "VASC"),
        ),
        licence="CC-0, CC BY or CC BY-NC, by image",
        citation=(
            "ISIC Archive, https://www.isic-archive.com, and the attribution of each image in its "
            "metadata; selection: https://github.com/peterlipan/LMD"
        ),
        url="https://www.isic-archive.com",
        how_to_get=(
            f"Put {', '.join(SPLIT_FILES.values())} of ISIC_Archive from "
            "https://github.com/peterlipan/LMD into one folder; download the images and their "
            "metadata from https://www.isic-archive.com (its gallery, or `isic image download` and "
            f"`isic metadata download` of the package isic-cli) into {IMAGES}/ and {METADATA} "
            "there."
        ),
        expected_counts=(869, 14, 15, 3393, 384, 246, 32, 27, 4522, 12875, 656, 1464, 270, 253),
        group="lesion",
        splits="LMD's, in the files that list the images",
    )
    tables = (*SPLIT_FILES.values(), METADATA)
    image_folders = (IMAGES, ".")
    images_from = ("ham10000",)  # is in the archive
    isic_names = True

    def read(self, root: Path | None) -> ImageTable:
        """Return the images of training, validation and test files, in this order."""
        folder, names = self.check_root(root), self.card.class_names
        split_of: dict[str, str] = {}
        labels: list[int] = []
        for split, name in SPLIT_FILES.items():
            file = folder / name
            rows = read_rows(file, ("image", *names), how_to_get=self.card.how_to_get)
            ids = check_ids(file, rows, "image")
            _check_one_split(file, split_of, rows)
            labels += [one_hot(file, row, names) for row in rows]
            split_of |= dict.fromkeys(ids, split)
        lesions = self._lesions(folder / METADATA, split_of)
        return ImageTable(
            image_ids=tuple(split_of),
            labels=np.array(labels, dtype=np.int64),
            groups=tuple(lesions.get(i) or own_group(i) for i in split_of),
            class_names=names,
            splits=tuple(split_of.values()),
        )

    def _lesions(self, file: Path, listed: dict[str, str]) -> dict[str, str]:
        rows = read_rows(file, ("isic_id", "lesion_id"), how_to_get=self.card.how_to_get)
        check_ids(file, rows, "isic_id")
        lesions = {row["isic_id"]: row["lesion_id"] for row in rows}
        if lesions.keys().isdisjoint(listed):
            raise UserError(
                f"{file} lists none of the {len(listed)} images of the split files; put the "
                f"metadata of these images in its place. {self.card.how_to_get}"
            )
        return lesions


def _check_one_split(file: Path, split_of: dict[str, str], rows: list[Row]) -> None:
    for row in rows:
        image_id = row["image"]
        if image_id in split_of:
            raise UserError(
                f"{file}, line {row.line}: image {image_id} was listed before, in "
                f"{SPLIT_FILES[split_of[image_id]]}; every image must be listed once."
            )
