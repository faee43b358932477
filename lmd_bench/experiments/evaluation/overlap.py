"""Which images of another data set a run's own data hold: its model may have been trained on them.

Two data sets may give one name to two images, and two names to one. So where the run's own images
are known here, an image is the same if its pixels are, or if its name is and its pixels nearly are,
as after another JPEG. Once there are such images, a lesion of one name is one lesion too.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Bool

from lmd_bench.core import paths
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource, Row
from lmd_bench.data.build import OnImages, prepare_dataset
from lmd_bench.data.checks.doubles import pixel_digests
from lmd_bench.data.images.prepare import PreparedImages
from lmd_bench.data.table import own_group
from lmd_bench.data.tasks.task import build_task
from lmd_bench.store.rows import spec_of
from lmd_bench.store.store import Store

NEAR = 8.0  # mean difference of two images that are one, of 255


def seen_images(
    store: Store,
    run: Row,
    other: PreparedImages,
    own_root: Path | None,
    on_images: OnImages | None = None,
) -> tuple[Bool[np.ndarray, " images"], list[str]]:
    """Return which images of another data set the run's own data hold, and notes.

    Args:
        store: Of the run.
        run: Its row.
        other: The other data set, at the run's image size.
        own_root: Folder of its own data; None: where `$LMD_BENCH_DATA` says.
        on_images: Is told of images that are decoded.
    """
    own = _own_data(run, own_root, on_images)
    if own is not None:
        return _held(own, other), []
    judged = store.read_logits(run["key"])
    ids = {image for images, _, _ in judged.values() for image in images}
    note = (
        f"the training images of the run ({run['dataset']}) are not known here, so only images "
        "with the names of its val and test were left out; --own-root names their folder"
    )
    return np.array([image in ids for image in other.table.image_ids], dtype=bool), [note]


def _own_data(run: Row, own_root: Path | None, on_images: OnImages | None) -> PreparedImages | None:
    """Return the data that a run was made from; None where they are not here."""
    source = paths.located(run["dataset"], DataSource(root=own_root))
    spec = spec_of(run)
    try:
        own = prepare_dataset(run["dataset"], source, run["image_size"], on_images)
        task = build_task(own.table, spec.task, own.fingerprint, source)
    except UserError:
        return None
    return own if task.fingerprint == spec.task_fingerprint else None


def _held(own: PreparedImages, other: PreparedImages) -> Bool[np.ndarray, " images"]:
    pixels, others = own.mapped(), other.mapped()
    digests = set(pixel_digests(pixels))
    row_of = {image: row for row, image in enumerate(own.table.image_ids)}
    seen = np.array([digest in digests for digest in pixel_digests(others)], dtype=bool)
    for index, (name, image) in enumerate(zip(other.table.image_ids, others, strict=True)):
        if not seen[index] and (row := row_of.get(name)) is not None:
            difference = np.abs(image.astype(np.int16) - pixels[row].astype(np.int16))
            seen[index] = difference.mean() < NEAR
    if not seen.any():
        return seen
    groups = set(own.table.groups)
    named = zip(other.table.image_ids, other.table.groups, strict=True)
    return seen | np.array([g in groups and g != own_group(image) for image, g in named])
