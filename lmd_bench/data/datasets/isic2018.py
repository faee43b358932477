"""ISIC 2018, task 3: HAM10000 as train, and the test images that were published after it.

Codella et al.: Skin Lesion Analysis Toward Melanoma Detection 2018, 2019,
https://arxiv.org/abs/1902.03368. Tschandl, Rosendahl, Kittler: The HAM10000 dataset, 2018,
https://doi.org/10.1038/sdata.2018.161, whose Dataverse holds 1,511 of the 1,512 test images with
their lesions. The 193 validation images are taken where their list is there; where it is not,
protocol `official` holds val out of train. By ISIC's lists no lesion is known outside of train.
"""

from pathlib import Path

import numpy as np

from lmd_bench.core.errors import UserError
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
from lmd_bench.data.table import DatasetCard, ImageTable

_LISTS = {
    "train": (*METADATA, *truth_files("Training")),
    "val": truth_files("Validation"),
    "test": truth_files("Test"),
}


class Isic2018(Dataset):
    """HAM10000 with its separate test images, in the layout of ISIC or of Dataverse."""

    card = DatasetCard(
        name="isic2018",
        title="ISIC 2018 task 3: HAM10000 and its separate test images",
        class_names=CLASSES,
        licence="CC BY-NC 4.0",
        citation=(
            "Codella et al., arXiv:1902.03368; Tschandl et al., Scientific Data 5 (2018), "
            "doi:10.1038/sdata.2018.161"
        ),
        url="https://doi.org/10.7910/DVN/DBW86T",
        how_to_get=(
            "Download HAM10000 as for `ham10000`, and ISIC2018_Task3_Test_GroundTruth and "
            "ISIC2018_Task3_Test_Images.zip from https://doi.org/10.7910/DVN/DBW86T; or the "
            "Input and GroundTruth files of task 3 from "
            "https://challenge.isic-archive.com/data/#2018, all unpacked into one folder."
        ),
        expected_images=11_526,
        group="lesion",
        splits="train, test and, where its list is there, val of the challenge",
    )
    aliases = ("isic2018_task3",)
    images_from = ("ham10000",)
    tables = (*dict.fromkeys(name for names in _LISTS.values() for name in names), GROUPINGS)
    image_folders = unpacked(
        *PARTS, *(f for part in ("Training", "Validation", "Test") for f in image_folders(part))
    )

    def read(self, root: Path | None) -> ImageTable:
        """Return the images of train, then of val where it is listed, then of test."""
        ids: list[str] = []
        labels: list[int] = []
        groups: list[str] = []
        splits: list[str] = []
        for split, names in _LISTS.items():
            file = self.file(root, names)
            if split == "val" and not file.is_file():
                continue
            lesions = self.check_root(root) / GROUPINGS
            part_ids, part_labels, part_groups = read_list(file, lesions, self.card.how_to_get)
            twice = set(ids) & set(part_ids)
            if twice:
                raise UserError(
                    f"{file} lists image {min(twice)}, which an earlier part holds; put the "
                    "published file in its place."
                )
            ids += part_ids
            labels += part_labels
            groups += part_groups
            splits += [split] * len(part_ids)
        return ImageTable(
            tuple(ids), np.array(labels, dtype=np.int64), tuple(groups), CLASSES, tuple(splits)
        )
