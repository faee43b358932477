"""Hyper-Kvasir: 10,662 labelled endoscopy images of the upper and lower gut in 23 classes.

Borgli et al.: HyperKvasir, a comprehensive multi-class image and video dataset for gastrointestinal
endoscopy. Scientific Data 7, 2020. https://doi.org/10.1038/s41597-020-00622-y

Classes carry the names of the published folders and of `image-labels.csv`, in the order of LMD's
split files. The official fold files, https://github.com/simula/hyper-kvasir, name eight of them
otherwise (`polyp` for `polyps`, `hemorroids` for `hemorrhoids`, ...); image ids are the same. The
CSV's column `Video file` holds the image's file name without its ending, no video. Patients and
examinations are not published: images of one patient may lie on both sides of any split.

Three classes have 6, 9 and 11 images: protocol `balanced` refuses the data set as a whole.
"""

from pathlib import Path

import numpy as np

from lmd_bench.data.csv_rows import read_rows
from lmd_bench.data.datasets._base import Dataset
from lmd_bench.data.datasets._csv import check_ids, label_of
from lmd_bench.data.table import DatasetCard, ImageTable, PublishedFile, own_group

IMAGES = "labeled-images"
# The data folder may also be the one with the labels itself, or that of the whole download.
_ROOTS = (f"{IMAGES}/", "", f"hyper-kvasir/{IMAGES}/", f"hyper-kvasir-{IMAGES}/{IMAGES}/")
LABELS = tuple(f"{root}image-labels.csv" for root in _ROOTS)

_LANDMARKS, _FINDINGS = "anatomical-landmarks", "pathological-findings"
_MUCOSA, _THERAPY = "quality-of-mucosal-views", "therapeutic-interventions"
# finding: (tract, group, images)
FINDINGS = {
    "barretts": ("upper-gi-tract", _FINDINGS, 41),
    "barretts-short-segment": ("upper-gi-tract", _FINDINGS, 53),
    "bbps-0-1": ("lower-gi-tract", _MUCOSA, 646),
    "bbps-2-3": ("lower-gi-tract", _MUCOSA, 1148),
    "cecum": ("lower-gi-tract", _LANDMARKS, 1009),
    "dyed-lifted-polyps": ("lower-gi-tract", _THERAPY, 1002),
    "dyed-resection-margins": ("lower-gi-tract", _THERAPY, 989),
    "esophagitis-a": ("upper-gi-tract", _FINDINGS, 403),
    "esophagitis-b-d": ("upper-gi-tract", _FINDINGS, 260),
    "hemorrhoids": ("lower-gi-tract", _FINDINGS, 6),
    "ileum": ("lower-gi-tract", _LANDMARKS, 9),
    "impacted-stool": ("lower-gi-tract", _MUCOSA, 131),
    "polyps": ("lower-gi-tract", _FINDINGS, 1028),
    "pylorus": ("upper-gi-tract", _LANDMARKS, 999),
    "retroflex-rectum": ("lower-gi-tract", _LANDMARKS, 391),
    "retroflex-stomach": ("upper-gi-tract", _LANDMARKS, 764),
    "ulcerative-colitis-grade-0-1": ("lower-gi-tract", _FINDINGS, 35),
    "ulcerative-colitis-grade-1": ("lower-gi-tract", _FINDINGS, 201),
    "ulcerative-colitis-grade-1-2": ("lower-gi-tract", _FINDINGS, 11),
    "ulcerative-colitis-grade-2": ("lower-gi-tract", _FINDINGS, 443),
    "ulcerative-colitis-grade-2-3": ("lower-gi-tract", _FINDINGS, 28),
    "ulcerative-colitis-grade-3": ("lower-gi-tract", _FINDINGS, 133),
    "z-line": ("upper-gi-tract", _LANDMARKS, 932),
}


class HyperKvasir(Dataset):
    """The labelled images of Hyper-Kvasir in the layout of the published zip."""

    card = DatasetCard(
        name="hyper_kvasir",
        title="Hyper-Kvasir, labelled endoscopy images of the gut",
        class_names=tuple(FINDINGS),
        licence="CC BY 4.0",
        citation="Borgli et al., Scientific Data 7 (2020), doi:10.1038/s41597-020-00622-y",
        url="https://datasets.simula.no/hyper-kvasir/",
        how_to_get=(
            "Download hyper-kvasir-labeled-images.zip from "
            "https://datasets.simula.no/hyper-kvasir/ and unpack it into a folder that then holds "
            f"{IMAGES}/ with image-labels.csv, lower-gi-tract/ and upper-gi-tract/."
        ),
        expected_counts=tuple(count for _, _, count in FINDINGS.values()),
        splits="the official 2 and 5 folds and LMD's files, with --split-dir",
    )
    aliases = ("kvasir",)
    tables = LABELS
    image_folders = tuple(
        f"{root}{tract}/{group}/{finding}"
        for root in _ROOTS
        for finding, (tract, group, _) in FINDINGS.items()
    )
    # No checksum is published with it; others who fetched it report this size.
    published = (
        PublishedFile(
            "hyper-kvasir-labeled-images.zip",
            "https://datasets.simula.no/downloads/hyper-kvasir/hyper-kvasir-labeled-images.zip",
            n_bytes=3_928_814_344,
            into=IMAGES,
        ),
    )

    def read(self, root: Path | None) -> ImageTable:
        """Return all images of `image-labels.csv`, in its order, each its own group."""
        file, names = self.file(root, LABELS), self.card.class_names
        rows = read_rows(file, ("Video file", "Finding"), how_to_get=self.card.how_to_get)
        image_ids = tuple(check_ids(file, rows, "Video file"))
        labels = [label_of(file, row, "Finding", names) for row in rows]
        return ImageTable(
            image_ids=image_ids,
            labels=np.array(labels, dtype=np.int64),
            groups=tuple(own_group(image_id) for image_id in image_ids),
            class_names=names,
        )
