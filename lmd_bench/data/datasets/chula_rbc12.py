"""Chula RBC-12: crops around red blood cells of stained smears in twelve classes.

Naruenatthanaset, Chalidabhongse, Palasuwan, Anantrasirichai, Palasuwan: Red Blood Cell Segmentation
with Overlapping Cell Separation and Classification on Imbalanced Dataset. 2020.
https://arxiv.org/abs/2012.01321. The published labels give a point and a type for each cell of a
smear image; a cell is a crop of 80 x 80 pixels around its point. Cells of one smear image, and of
images that overlap, are one group. Normal, macrocyte and microcyte differ by size.

`download` cuts the cells out of all smears, each a group of its own. A smear whose pixels are those
of an earlier one is left out; some others overlap, which `check` finds as near-identical images.
The counts of the card are those of a half of the smears, with overlapping ones in one group.
"""

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from lmd_bench.core.errors import UserError
from lmd_bench.core.files import whole_file, whole_folder
from lmd_bench.data.datasets._labelled import IMAGES, LABELS, Labelled
from lmd_bench.data.table import DatasetCard, PublishedFile

_COMMIT = "fa130f48135d79bbd69f8e540b533511017d6896"
_REPOSITORY = "Chula-RBC-12-Dataset"
PUBLISHED = f"{_REPOSITORY}-{_COMMIT}"
SIDE = 80  # pixels of a cell
# Numbers of the published labels; 10 is "uncategorised".
TYPES = {
    **{"0": "normal", "1": "macrocyte", "2": "microcyte", "3": "spherocyte", "4": "target_cell"},
    **{"5": "stomatocyte", "6": "ovalocyte", "7": "teardrop", "8": "burr_cell"},
    **{"9": "schistocyte", "11": "hypochromia", "12": "elliptocyte"},
}


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
    # Made anew by the server for each commit, so that nobody publishes a checksum of it.
    published = (
        PublishedFile(
            f"{_REPOSITORY}.zip",
            f"https://github.com/Chula-PIC-Lab/{_REPOSITORY}/archive/{_COMMIT}.zip",
            into=PUBLISHED,
        ),
    )

    def complete(self, root: Path) -> None:
        """Cut the labelled cells out of the smears, and list them.

        Raises:
            UserError: a label is not a point and a type.
        """
        if (root / LABELS).exists() or not (root / PUBLISHED).is_dir():
            return
        rows = [("image", "label", "group")]
        seen: set[bytes] = set()
        with whole_folder(root / IMAGES, replace=True) as folder:
            for file in sorted((root / PUBLISHED / "Label").glob("*.txt"), key=_number):
                smear = root / PUBLISHED / "Dataset" / f"{file.stem}.jpg"
                with Image.open(smear) as opened:
                    image = opened.convert("RGB")
                pixels = hashlib.sha256(image.tobytes()).digest()
                if pixels in seen:
                    continue
                seen.add(pixels)
                for name, box, label in _cells(file, image.size):
                    image.crop(box).save(folder / name, quality=95)
                    rows.append((name, label, file.stem))
        with whole_file(root / LABELS) as temporary, temporary.open("w", newline="") as out:
            csv.writer(out).writerows(rows)


def _cells(
    file: Path, size: tuple[int, int]
) -> Iterator[tuple[str, tuple[int, int, int, int], str]]:
    """Yield the file name, box and type of each cell whose box lies inside its smear."""
    names: set[str] = set()
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        if len(words) != 3 or not all(word.isdigit() for word in words):
            raise UserError(f"{file}, line {number}: '{line}' is not a point and a type, as 9 8 0.")
        x, y = int(words[0]), int(words[1])
        left, top = x - SIDE // 2, y - SIDE // 2
        name = f"s{file.stem}_x{x}_y{y}.jpg"
        inside = min(left, top) >= 0 and left + SIDE <= size[0] and top + SIDE <= size[1]
        # A point twice is one cell: the first type that it was given.
        if inside and words[2] in TYPES and name not in names:
            names.add(name)
            yield name, (left, top, left + SIDE, top + SIDE), TYPES[words[2]]


def _number(file: Path) -> tuple[int, str]:
    """Return what sorts smears as people count them."""
    return (int(file.stem) if file.stem.isdigit() else 0, file.stem)
