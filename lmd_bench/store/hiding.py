"""Ids of images that say nothing of the files, for results that are given away.

An image keeps a hash of its id, salted by the fingerprint of its task. So runs on one task can
still be compared image by image, and who holds the data can check which images these are.
"""

from collections.abc import Iterable, Sequence

from lmd_bench.core.schema import salted_hash

_PREFIX = "hidden:"


def hidden_ids(image_ids: Iterable[str], task_fingerprint: str) -> tuple[str, ...]:
    """Return ids that say nothing of the files; those that are hidden already stay."""
    return tuple(_hidden(image_id, task_fingerprint) for image_id in image_ids)


def are_hidden(image_ids: Sequence[str]) -> bool:
    """Say whether ids are hashes."""
    return bool(image_ids) and all(image_id.startswith(_PREFIX) for image_id in image_ids)


def _hidden(image_id: str, fingerprint: str) -> str:
    if image_id.startswith(_PREFIX):
        return image_id
    return f"{_PREFIX}{salted_hash(fingerprint, image_id)}"
