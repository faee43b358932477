"""Drawn lesions on skin: six classes that differ in border, asymmetry, colour and texture.

Every image is a function of its id alone: no files, the same on each machine and in each order.
A lesion's parameters (outline, colours, texture) are drawn from its class's overlapping
distributions and shared by its one to three images, which differ in pose, light and noise.

How hard it is, measured at 32 px on 300 training and 100 test lesions of each class (chance 17 %):
logistic regression on 8x8 pixels 49 %, a random forest on colour statistics 58 %, a ResNet-18
after six epochs (batches of 128, SGD, lr 0.05, flips) 71 %. The same ResNet-18 trained on the task
of imbalance factor 50 reaches 50 % on those lesions: 95 % on the two largest classes, next to none
on the two smallest. Phase, pose and orientation of every texture and outline are random, so that a
model that is linear in the pixels sees little of them.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8

from lmd_bench.core.seeding import derive_seed
from lmd_bench.data.datasets._base import Dataset
from lmd_bench.data.table import DatasetCard, ImageTable

SEED = 2019  # of all drawings; never a user's


class Look(NamedTuple):
    """Means of one class's parameters; a lesion's own are drawn around them."""

    border: float  # irregularity of the outline, share of the radius
    asymmetry: float  # colour change from one side of the lesion to the other
    redness: float  # pigment colour, from brown (0) to red (1)
    darkness: float  # depth of the pigment
    grating: float  # strength of parallel streaks
    dots: float  # strength of a dotted texture
    waves: float  # texture waves across the image
    centre: float  # brightening of the middle


LOOKS = {
    "smooth": Look(0.04, 0.10, 0.20, 0.40, 0.05, 0.05, 3.0, 0.00),
    "irregular": Look(0.22, 0.60, 0.20, 0.70, 0.10, 0.10, 3.0, 0.00),
    "globular": Look(0.08, 0.15, 0.30, 0.55, 0.05, 0.50, 3.0, 0.00),
    "streaked": Look(0.12, 0.20, 0.45, 0.35, 0.50, 0.05, 2.5, 0.00),
    "lobular": Look(0.16, 0.15, 0.75, 0.55, 0.05, 0.35, 1.5, 0.00),
    "pale_centre": Look(0.06, 0.15, 0.40, 0.45, 0.05, 0.10, 3.0, 0.80),
}
COUNTS = (1200, 800, 520, 340, 190, 90)  # images, in the order of LOOKS
SPREAD = 0.8  # widens every class's distribution; larger is harder

_SKIN = np.array([0.86, 0.68, 0.58])
_BROWN = np.array([0.45, 0.55, 0.55])  # what pigment takes from red, green and blue light
_RED = np.array([0.15, 0.60, 0.50])


class Synthetic(Dataset):
    """The built-in data set: nothing to download, drawn in seconds."""

    card = DatasetCard(
        name="synthetic",
        title="Drawn lesion-like images",
        class_names=tuple(LOOKS),
        licence="none needed: drawn by this package",
        citation="this package",
        url="",
        how_to_get="Nothing to get: the images are drawn when they are needed.",
        expected_counts=COUNTS,
        group="lesion",
        downloads=False,
    )

    def read(self, root: Path | None) -> ImageTable:
        """Return all images, class by class; `root` is not looked at."""
        image_ids: list[str] = []
        labels: list[int] = []
        for label, (name, count) in enumerate(zip(LOOKS, COUNTS, strict=True)):
            image_ids += _class_ids(name, count)
            labels += [label] * count
        return ImageTable(
            image_ids=tuple(image_ids),
            labels=np.array(labels, dtype=np.int64),
            groups=tuple(image_id.rpartition("-")[0] for image_id in image_ids),
            class_names=self.card.class_names,
        )

    def missing(self, root: Path | None, table: ImageTable) -> Bool[np.ndarray, " images"]:
        """Return False for every image."""
        return np.zeros(len(table), dtype=np.bool_)

    def image(
        self, image_id: str, path: Path | None, size: int
    ) -> UInt8[np.ndarray, "size size 3"]:
        """Draw the image called `<class>-<lesion>-<image>`; `path` is not looked at."""
        return draw(image_id, size)


def draw(image_id: str, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """Return the image of an id such as `smooth-0012-1`, which need not be in the table.

    Args:
        image_id: class, lesion and image; equal ids give equal images.
        size: pixels, square. Another size shows the same lesion under other pixel noise.
    """
    lesion_id = image_id.rpartition("-")[0]
    look = LOOKS[lesion_id.partition("-")[0]]
    lesion = np.random.default_rng(derive_seed(SEED, "lesion", lesion_id))
    shot = np.random.default_rng(derive_seed(SEED, "image", image_id))
    x, y = _pose(size, shot)
    shape, depth = _outline(x, y, look, lesion)
    pigment = depth * _texture(x, y, look, lesion)
    hue = np.clip(look.redness + 0.18 * SPREAD * lesion.standard_normal(), 0, 1)
    absorbed = (1 - hue) * _BROWN + hue * _RED
    skin = _SKIN * (1 + 0.08 * lesion.standard_normal()) + 0.03 * lesion.standard_normal(3)
    colour = skin * (1 - np.clip(shape * pigment, 0, 1.3)[..., None] * absorbed)
    light = 1 + 0.10 * shot.standard_normal() + 0.08 * (x * shot.standard_normal())
    noise = 0.05 * shot.standard_normal((size, size, 1))
    noisy = colour * light[..., None] + noise + 0.02 * shot.standard_normal((size, size, 3))
    return (np.clip(noisy, 0, 1) * 255).astype(np.uint8)


def _class_ids(name: str, count: int) -> list[str]:
    sizes = np.random.default_rng(derive_seed(SEED, "lesions", name)).choice(
        [1, 2, 3], size=count, p=[0.6, 0.25, 0.15]
    )
    ids = [f"{name}-{i:04d}-{k}" for i, size in enumerate(sizes) for k in range(size)]
    return ids[:count]


def _pose(
    size: int, shot: np.random.Generator
) -> tuple[Float[np.ndarray, "size size"], Float[np.ndarray, "size size"]]:
    """Return the lesion's own coordinates, about -1 to 1, of every pixel."""
    axis = (np.arange(size) + 0.5) / size * 2 - 1
    angle, zoom = shot.uniform(0, 2 * np.pi), shot.uniform(0.85, 1.15)
    x = (axis[None, :] - 0.1 * shot.standard_normal()) / zoom
    y = (axis[:, None] - 0.1 * shot.standard_normal()) / zoom
    if shot.random() < 0.5:
        x = -x
    cos, sin = np.cos(angle), np.sin(angle)
    return cos * x + sin * y, cos * y - sin * x


def _outline(
    x: np.ndarray, y: np.ndarray, look: Look, lesion: np.random.Generator
) -> tuple[Float[np.ndarray, "size size"], Float[np.ndarray, "size size"]]:
    """Return how far each pixel is inside the lesion (0 to 1), and the depth of pigment there."""
    stretch = lesion.uniform(0.75, 1.0)
    radius = np.hypot(x, y / stretch)
    angle = np.arctan2(y, x)
    wobble = np.zeros_like(angle)
    for waves in (2, 3, 5, 7):
        wave = np.cos(waves * angle + lesion.uniform(0, 2 * np.pi))
        wobble += 2 / waves * lesion.standard_normal() * wave
    border = abs(look.border + 0.05 * SPREAD * lesion.standard_normal())
    edge = lesion.uniform(0.50, 0.75) * (1 + border * wobble)
    softness = lesion.uniform(0.03, 0.10)
    inside = 1 / (1 + np.exp(np.clip((radius - edge) / softness, -30, 30)))
    asymmetry = look.asymmetry + 0.18 * SPREAD * lesion.standard_normal()
    centre = look.centre + 0.12 * SPREAD * lesion.standard_normal()
    depth = abs(look.darkness + 0.13 * SPREAD * lesion.standard_normal()) + 0.25
    sides = 1 + asymmetry * np.tanh(2.5 * x / edge)
    return inside, depth * sides * (1 - centre * np.exp(-((radius / edge) ** 2) * 5))


def _texture(
    x: np.ndarray, y: np.ndarray, look: Look, lesion: np.random.Generator
) -> Float[np.ndarray, "size size"]:
    """Return streaks and dots as a factor around 1."""
    frequency = np.pi * look.waves * lesion.uniform(0.8, 1.2)
    tilt = lesion.uniform(0, np.pi)
    along, across = np.cos(tilt) * x + np.sin(tilt) * y, np.cos(tilt) * y - np.sin(tilt) * x
    phases = lesion.uniform(0, 2 * np.pi, size=3)
    streaks = np.sin(frequency * along + phases[0])
    dots = np.sin(frequency * along + phases[1]) * np.sin(frequency * across + phases[2]) * 1.4
    grating = look.grating + 0.12 * SPREAD * lesion.standard_normal()
    dotted = look.dots + 0.12 * SPREAD * lesion.standard_normal()
    return 1 + grating * streaks + dotted * dots
