"""A contact sheet: what the views make of a few images of each class, as one picture."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from PIL import Image, ImageDraw, ImageFont

from lmd_bench.core.errors import UserError
from lmd_bench.core.seeding import derive_seed
from lmd_bench.data.batches import Pixels
from lmd_bench.data.images.prepare import PreparedImages
from lmd_bench.data.views import IMAGENET_MEAN, IMAGENET_STD, Images, View, make_view
from lmd_bench.data.views.mixing import draw_mixture, join

VIEWS: tuple[View, ...] = ("weak", "strong", "randaugment", "simaugment")
FORMATS = (".png", ".jpg", ".jpeg", ".webp")

_SMALLEST = 96  # pixels of an image on the sheet; smaller images are shown enlarged
_GAP = 4
_ALPHA = 8.0  # of the shares shown: near a half, so that both images can be seen
_INK, _PAPER = (30, 30, 30), (255, 255, 255)


def write_contact_sheet(prepared: PreparedImages, out: Path, per_class: int, seed: int) -> int:
    """Write the views of `per_class` random images of each class and return the images shown.

    Raises:
        UserError: a file that no picture can be written to.
    """
    if out.suffix.lower() not in FORMATS:
        raise UserError(f"--out {out} is no picture; its name must end in {', '.join(FORMATS)}.")
    if prepared.holds_features:
        raise UserError("A data set of features has no images, so there are no views to look at.")
    rows = some_of_each_class(prepared.table.labels, per_class, seed)
    pixels = torch.from_numpy(prepared.read(rows))
    names = [prepared.table.class_names[label] for label in prepared.table.labels[rows]]
    sheet = _drawn(names, columns(pixels, seed))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(out)
    except OSError as error:
        raise UserError(f"Cannot write {out}: {error.strerror or error}.") from error
    return len(rows)


def some_of_each_class(
    labels: Int64[np.ndarray, " images"], per_class: int, seed: int
) -> Int64[np.ndarray, " chosen"]:
    """Return the positions of up to `per_class` random images of each class, class by class."""
    rng = np.random.default_rng(seed)
    classes = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    return np.concatenate([rng.permutation(members)[:per_class] for members in classes])


def columns(pixels: Pixels, seed: int) -> dict[str, Pixels]:
    """Return what is shown of each image, by the title of its column.

    Two of the strong view, so that its spread can be seen; mixing joins weak views, as it would
    join any.
    """
    shown: dict[str, Pixels] = {"raw": pixels}
    for view in VIEWS:
        for copy in ("", " again") if view == "strong" else ("",):
            made = make_view(view, pixels, derive_seed(seed, view, copy))
            shown[view + copy] = to_pixels(made)
    weak = make_view("weak", pixels, derive_seed(seed, "weak", ""))
    size = (pixels.shape[1], pixels.shape[2])
    for name, box_within in {"mixup": None, "cutmix": size}.items():
        mixture = draw_mixture(len(pixels), _ALPHA, derive_seed(seed, name), box_within)
        shown[f"{name} {mixture.share:.2f}"] = to_pixels(
            join(weak, weak[mixture.partners], mixture)
        )
    return shown


def to_pixels(images: Images) -> Pixels:
    """Return normalised images as pixels again."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    values = ((images.cpu() * std + mean) * 255.0).round_().clamp_(0, 255)
    return values.to(torch.uint8).permute(0, 2, 3, 1)


def _drawn(names: list[str], shown: dict[str, Pixels]) -> Image.Image:
    """Return the sheet: a row for each image under its class, a column for each view."""
    font = ImageFont.load_default(size=14)
    size = next(iter(shown.values())).shape[1]
    side = size * max(1, -(-_SMALLEST // size))  # whole multiples: every pixel stays square
    step = side + _GAP
    left = _GAP * 2 + max(int(font.getlength(name)) for name in names)
    top = 24
    sheet = Image.new("RGB", (left + step * len(shown), top + step * len(names)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for column, (title, images) in enumerate(shown.items()):
        x = left + column * step
        draw.text((x + side // 2, top // 2), title, fill=_INK, font=font, anchor="mm")
        for row, image in enumerate(images.numpy()):
            sheet.paste(_enlarged(image, side), (x, top + row * step))
    for row, name in enumerate(names):
        if row == 0 or names[row - 1] != name:
            draw.text((_GAP, top + row * step + _GAP), name, fill=_INK, font=font)
    return sheet


def _enlarged(image: UInt8[np.ndarray, "height width 3"], side: int) -> Image.Image:
    return Image.fromarray(image).resize((side, side), Image.Resampling.NEAREST)
