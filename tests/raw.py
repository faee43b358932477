"""A small raw data set in the layout of HAM10000, made on the spot."""

from pathlib import Path

from PIL import Image

CLASSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")


def write_seven_greys(folder: Path) -> Path:
    """Write seven images of one grey each, 10, 20, ..., called I0 to I6, and return the folder."""
    part = folder / "HAM10000_images_part_1"
    part.mkdir(parents=True)
    lines = ["lesion_id,image_id,dx"]
    for i, name in enumerate(CLASSES):
        lines.append(f"L{i},I{i},{name}")
        Image.new("RGB", (20, 15), (10 * (i + 1),) * 3).save(part / f"I{i}.jpg")
    (folder / "HAM10000_metadata.csv").write_text("\n".join(lines))
    return folder


def image_file(root: Path, name: str) -> Path:
    """Return the file of an image."""
    return root / "HAM10000_images_part_1" / f"{name}.jpg"
