"""What the names of files, folders and splits mean, wherever a list or a folder gives one."""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Literal

from lmd_bench.core.errors import UserError
from lmd_bench.data.image_suffixes import SUFFIXES

SplitName = Literal["train", "val", "test"]
# what people call a split, in lower case -> what it is called here
SPLITS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
# ISIC 2019 gives its reduced images this ending; in the ISIC Archive the same images lack it.
_REDUCED = "_downsampled"

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MASK = re.compile(r"[_-](mask|seg|segmentation)(_?\d+)?$", re.IGNORECASE)


def without_ending(name: str) -> str:
    """Return a name or path in POSIX form without the ending of an image; another dot stays."""
    path = PurePosixPath(name)
    return (path.with_suffix("") if path.suffix.lower() in SUFFIXES else path).as_posix()


def plain(name: str) -> str:
    """Return a name in the one Unicode form (NFC), without blanks at the ends of its parts.

    macOS writes an accented letter as two characters and most CSVs as one; both look the same.
    """
    return "/".join(part.strip() for part in unicodedata.normalize("NFC", name).split("/"))


def other_isic_name(image_id: str) -> str:
    """Return the name that an image of ISIC has where it was reduced, or where it was not."""
    reduced = image_id.endswith(_REDUCED)
    return image_id.removesuffix(_REDUCED) if reduced else f"{image_id}{_REDUCED}"


def is_mask(name: str) -> bool:
    """Return whether a file is called like the mask of an image: `benign (1)_mask_1.png`."""
    return _MASK.search(without_ending(name)) is not None


def check_printable(kind: str, names: Iterable[str]) -> None:
    """Refuse names with a line break, a tab or an escape in them, which no line can show.

    Args:
        kind: what they are the names of.
        names: of images, classes, ...

    Raises:
        UserError: naming the first.
    """
    name = next((name for name in names if _CONTROL.search(name)), None)
    if name is not None:
        raise UserError(
            f"The {kind} {ascii(name)} holds a sign of control (a line break, a tab, an escape), "
            "which no table can show; take it out of the name."
        )


def check_utf8(path: str | Path) -> None:
    """Refuse a path whose bytes are no UTF-8, which no table, CSV or page can hold.

    Raises:
        UserError: naming it by its readable part.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        shown = str(path).encode(errors="replace").decode()
        raise UserError(
            f"The name {shown} is not UTF-8 (a zip made on Windows gives such names); rename it, "
            "for a whole folder with: convmv -r -f latin1 -t utf8 --notest FOLDER."
        ) from error
