"""Chula RBC-12: crops around red blood cells of stained smears in twelve classes.

Naruenatthanaset, Chalidabhongse, Palasuwan, Anantrasirichai, Palasuwan: Red Blood Cell Segmentation
with Overlapping Cell Separation and Classification on Imbalanced Dataset. 2020.
https://arxiv.org/abs/2012.01321. The published labels give a point and a type for each cell of a
smear image; a cell is a crop of 80 x 80 pixels around its point. Cells of one smear image, and of
images that overlap, are one group. Normal, macrocyte and microcyte differ by size.
"""

from lmd_bench.data.datasets._labelled import IMAGES, LABELS, Labelled
from lmd_bench.data.table import DatasetCard


class ChulaRbc12(Labelled):
    """Crops of single cells and a list `labels.csv` that names the smear of each."""

    card = DatasetCard(
        name="chula_rbc12",
        title="Chula RBC-12, shapes of red blood cells in smears",
        class_names=(
            *("burr_cell", "elliptocyte", "hypochromia", "macrocyte", "microcyte", "normal"),
            *("ovalocyte", "schistocyte", "spherocyte", "stomatocyte", "target_cell", "teardrop"),
        ),
        licence="MIT",
        citation="Naruenatthanaset et al., arXiv:2012.01321",
        url="https://github.com/Chula-PIC-Lab/Chula-RBC-12-Dataset",
        how_to_get=(
            "Clone https://github.com/Chula-PIC-Lab/Chula-RBC-12-Dataset, cut 80 x 80 pixels "
            f"around the point of each label into {IMAGES}/, and list the crops in {LABELS} with "
            "the columns image, label and group (the number of the smear image)."
        ),
        expected_counts=(214, 472, 430, 265, 177, 2191, 910, 405, 1387, 759, 1056, 134),
        group="smear",
    )
    aliases = ("chula",)
    columns_of_csv = ("image", "label", "group")
