"""All checks of one data set and split, gathered without printing."""

from collections.abc import Iterator
from dataclasses import dataclass
from operator import ne

import numpy as np
from jaxtyping import Bool, UInt8

from lmd_bench.core import machine as hardware
from lmd_bench.core import paths
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource, TaskSpec
from lmd_bench.data import datasets
from lmd_bench.data.build import OnImages, prepare_dataset, source_notes
from lmd_bench.data.checks.class_sizes import ClassSize, class_sizes, smallest_difference
from lmd_bench.data.checks.doubles import (
    Crossing,
    crossing_groups,
    file_digests,
    identical_sets,
    pixel_digests,
)
from lmd_bench.data.checks.intensities import Intensities, look_at_levels
from lmd_bench.data.checks.near import NearGroup, difference_hashes, near_identical
from lmd_bench.data.checks.readable import Unreadable, unreadable_images
from lmd_bench.data.datasets._feature_file import n_constant
from lmd_bench.data.images.prepare import PreparedImages
from lmd_bench.data.images.values import settle_levels
from lmd_bench.data.intensity import FULL
from lmd_bench.data.table import ImageTable, own_group
from lmd_bench.data.tasks.protocols import cut
from lmd_bench.data.tasks.split import Split
from lmd_bench.data.tasks.task import fingerprint

_BLOCK = 2**22  # pixels in memory at a time: 1,024 images of 64 x 64


@dataclass(frozen=True, eq=False)
class SplitReport:
    """What was found in one split of a data set whose files are all readable."""

    table: ImageTable
    split: Split
    n_missing: int  # listed images without a file
    fingerprint: str  # of the task
    identical: tuple[tuple[int, ...], ...]  # sets of rows with one content
    by_file: bool  # identical files; False: identical pixels or features, where these have none
    crossing: tuple[Crossing, ...]
    names_groups: bool  # some image is of a lesion or patient that the data name
    notes: tuple[str, ...]  # what of the files is left out
    near: tuple[NearGroup, ...]
    classes: tuple[ClassSize, ...]
    smallest_difference: float  # of balanced accuracy on test, 0 to 1
    intensities: Intensities | None = None  # of images; None: of features
    intensity: str = FULL  # how values became grey levels, with the range that was found
    n_constant: int | None = None  # columns of one value for all images; None: of images

    @property
    def anything_wrong(self) -> bool:
        """Return whether any check found something."""
        small = any(size.too_small for size in self.classes)
        of = self.intensities
        odd = of is not None and bool(of.constant or of.faint or of.inverted)
        return bool(self.identical or self.crossing or self.near or small or odd)


def check(
    spec: TaskSpec, source: DataSource, progress: OnImages | None = None
) -> SplitReport | tuple[Unreadable, ...]:
    """Return the report on a task's split; the unreadable images where there are any.

    Args:
        spec: the task.
        source: where its data and split files lie.
        progress: called as images are decoded.

    Raises:
        UserError: the data are absent or faulty in another way, or cannot give this split.
    """
    try:
        prepared = prepare_dataset(spec.dataset, source, spec.image_size, progress)
    except UserError:
        if unreadable := _unreadable(spec.dataset, source):
            return unreadable
        raise
    table = prepared.table
    split = cut(table, spec, source)
    by_file, identical = _identical(prepared, spec.dataset, source)
    classes = class_sizes(table, split)
    return SplitReport(
        table=table,
        split=split,
        n_missing=prepared.n_missing,
        fingerprint=fingerprint(table, split, spec, prepared.fingerprint),
        identical=identical,
        by_file=by_file,
        crossing=crossing_groups(table, split),
        names_groups=any(map(ne, table.groups, map(own_group, table.image_ids))),
        notes=tuple(source_notes([spec.dataset], source, at_most=None)),
        near=() if prepared.holds_features else _near(prepared, split, identical),
        n_constant=n_constant(prepared.features()) if prepared.holds_features else None,
        intensities=None if prepared.holds_features else look_at_levels(_blocks(prepared)),
        intensity=prepared.intensity,
        classes=classes,
        smallest_difference=smallest_difference([size.n_test for size in classes]),
    )


def split_names(split: Split, n_images: int) -> tuple[str, ...]:
    """Return the split that each row lies in, "" where in none."""
    names = [""] * n_images
    for name, rows in (("train", split.train), ("val", split.val), ("test", split.test)):
        for row in rows:
            names[row] = name
    return tuple(names)


def _unreadable(dataset: str, source: DataSource) -> tuple[Unreadable, ...]:
    """Return the unreadable images; none where the data are at fault in another way."""
    data = datasets.load(dataset, source.columns)
    if data.card.features:
        return ()
    root = paths.data_root(data.card.name, source.root)
    table = data.read(root)
    missing = data.missing(root, table)
    if missing.any() and not source.allow_missing:
        return ()
    files = zip(table.image_ids, data.paths(root, table), missing, strict=True)
    present = [(image_id, path) for image_id, path, absent in files if not absent]
    data.levels = settle_levels(data, source.intensity, present, hardware.n_cores())
    return unreadable_images(data, present, hardware.n_cores())


def _identical(
    prepared: PreparedImages, dataset: str, source: DataSource
) -> tuple[bool, tuple[tuple[int, ...], ...]]:
    if prepared.holds_features:
        vectors = prepared.features()
        return False, identical_sets([vector.tobytes().hex() for vector in vectors])
    data = datasets.load(dataset, source.columns)
    files = data.paths(paths.data_root(data.card.name, source.root), prepared.table)
    try:
        digests = file_digests(files, hardware.n_cores())
    except OSError as error:
        raise UserError(f"A file of '{dataset}' cannot be read ({error}); mend that.") from error
    if None not in digests:
        return True, identical_sets(digests)
    blocks = map(pixel_digests, _blocks(prepared))
    return False, identical_sets([digest for block in blocks for digest in block])


def _near(
    prepared: PreparedImages, split: Split, identical: tuple[tuple[int, ...], ...]
) -> tuple[NearGroup, ...]:
    return near_identical(_hashes(prepared), split, identical)


def _hashes(prepared: PreparedImages) -> Bool[np.ndarray, "images bits"]:
    return np.concatenate([difference_hashes(block) for block in _blocks(prepared)])


def _blocks(prepared: PreparedImages) -> Iterator[UInt8[np.ndarray, "block size size 3"]]:
    n = len(prepared.table)
    block = max(1, _BLOCK // prepared.image_size**2)
    for start in range(0, n, block):
        yield prepared.read(np.arange(start, min(start + block, n), dtype=np.int64))
