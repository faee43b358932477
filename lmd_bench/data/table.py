"""What a data set is: its card, and a table of one row per image."""

from collections.abc import Container
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int64

from lmd_bench.core.schema import salted_hash


@dataclass(frozen=True)
class DatasetCard:
    """What a person must know of a data set before using it."""

    name: str
    title: str
    class_names: tuple[str, ...]
    licence: str
    citation: str
    url: str
    how_to_get: str  # what to download and where to put it
    expected_counts: tuple[int, ...] | None = None  # images of each class when complete
    expected_images: int | None = None  # all of them, where the classes' counts are not known
    group: str | None = None  # what a group is ("lesion"), None where there is none
    splits: str | None = None  # published splits and how protocol `official` gets them
    downloads: bool = True  # False: drawn on the fly, needs no files
    features: bool = False  # True: it holds features in place of images


@dataclass(frozen=True)
class PublishedFile:
    """A file that a data set is published in, and what becomes of it below the data folder."""

    name: str
    url: str
    checksum: str | None = None  # as published: md5:... or sha256:...; None: none that we know
    n_bytes: int | None = None  # None: the server says
    into: str | None = None  # folder that this zip is unpacked into; None: it is kept as it is
    size: int | None = None  # px of its images, where there is a file of each size


@dataclass(frozen=True)
class ImageTable:
    """One row per image. All arrays have length n_images and one order."""

    image_ids: tuple[str, ...]
    labels: Int64[np.ndarray, " images"]  # index into class_names
    groups: tuple[str, ...]  # lesion or patient; an image without one is its own group
    class_names: tuple[str, ...]
    splits: tuple[str, ...] | None = None  # "train", "val", "test" or "", where the data declare it
    own_splits: bool = False  # a person declared them, so nothing else may part these images

    def __len__(self) -> int:
        return len(self.image_ids)

    def take(self, rows: Int64[np.ndarray, " rows"]) -> "ImageTable":
        """Return the images in these rows, in their order."""
        return replace(
            self,
            image_ids=tuple(self.image_ids[row] for row in rows),
            labels=self.labels[rows],
            groups=tuple(self.groups[row] for row in rows),
            splits=None if self.splits is None else tuple(self.splits[row] for row in rows),
        )


def own_group(image_id: str) -> str:
    """Return the group of an image whose lesion or patient is not known."""
    return f"image:{image_id}"


def hashed_groups(table: ImageTable, image_ids: Container[str], salt: str) -> dict[str, str]:
    """Return the hash of the lesion or patient of each of these images that has one.

    Args:
        table: The images of a data set.
        image_ids: Those that are asked for.
        salt: The fingerprint of the data. Only who has the data knows it, so that ids of patients,
            which are few and easily guessed, cannot be found from their hashes.
    """
    return {
        image_id: salted_hash(salt, group)
        for image_id, group in zip(table.image_ids, table.groups, strict=True)
        if image_id in image_ids and group != own_group(image_id)
    }
