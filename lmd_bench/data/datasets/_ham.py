"""The lists of HAM10000 as its two publishers give them, Dataverse and ISIC 2018 (task 3)."""

from pathlib import Path

from lmd_bench.data.csv_rows import read_rows
from lmd_bench.data.datasets._csv import check_ids, label_of, one_hot
from lmd_bench.data.table import own_group

CLASSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
METADATA = tuple(f"HAM10000_metadata{ending}" for ending in (".csv", "", ".tab"))
PARTS = ("HAM10000_images_part_1", "HAM10000_images_part_2", "HAM10000_images")
_TASK = "ISIC2018_Task3"
_COLUMNS = ("image_id", "lesion_id", "dx")


def truth_files(part: str) -> tuple[str, ...]:
    """Return what the list of one part of ISIC 2018 (Training, Validation, Test) may be called."""
    name = f"{_TASK}_{part}_GroundTruth"
    places = (name, f"{name}/{name}")
    return tuple(f"{place}{ending}" for ending in (".csv", ".tab", "") for place in places)


def image_folders(part: str) -> tuple[str, str]:
    """Return the folders of one part's images, as ISIC and as Dataverse call them."""
    return f"{_TASK}_{part}_Input", f"{_TASK}_{part}_Images"


GROUPINGS = f"{_TASK}_Training_LesionGroupings.csv"


def read_list(
    file: Path, groupings: Path | None, how_to_get: str
) -> tuple[list[str], list[int], list[str]]:
    """Return the ids, labels and groups of a list: HAM10000's columns, or a column for each class.

    Args:
        file: the list.
        groupings: the lesion of each image, where `file` does not say it; it may be absent.
        how_to_get: a sentence for the person who does not have the file.

    Raises:
        UserError: a file is absent or not as published.
    """
    upper = [name.upper() for name in CLASSES]
    challenge = file.stem not in {Path(name).stem for name in METADATA} and file.is_file()
    rows = read_rows(file, how_to_get=how_to_get) if challenge else []
    if rows and {"image", *upper} <= rows[0].keys():
        ids = check_ids(file, rows, "image")
        labels = [one_hot(file, row, upper) for row in rows]
        lesions: dict[str, str] = {}
        if groupings is not None and groupings.is_file():
            listed = read_rows(groupings, ("image", "lesion_id"), how_to_get=how_to_get)
            lesions = {row["image"]: row["lesion_id"] for row in listed}
        return ids, labels, [lesions.get(image) or own_group(image) for image in ids]
    rows = read_rows(file, _COLUMNS, how_to_get=how_to_get)
    ids = check_ids(file, rows, "image_id")
    labels = [label_of(file, row, "dx", CLASSES) for row in rows]
    return ids, labels, [row["lesion_id"] or own_group(row["image_id"]) for row in rows]
