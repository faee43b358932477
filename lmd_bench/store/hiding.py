"""What tells of a site left out of results that are given away: ids of images, paths, machines.

An image keeps a hash of its id, salted by the fingerprint of its task. So runs on one task can
still be compared image by image, and who holds the data can check which images these are.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import salted_hash
from lmd_bench.store.columns import LOGITS
from lmd_bench.store.merging import Arrival, merge
from lmd_bench.store.row_files import write_table
from lmd_bench.store.store import Store, open_store

_PREFIX = "hidden:"


def hidden_ids(image_ids: Iterable[str], task_fingerprint: str) -> tuple[str, ...]:
    """Return ids that say nothing of the files; those that are hidden already stay."""
    return tuple(_hidden(image_id, task_fingerprint) for image_id in image_ids)


def are_hidden(image_ids: Sequence[str]) -> bool:
    """Say whether ids are hashes."""
    return bool(image_ids) and all(image_id.startswith(_PREFIX) for image_id in image_ids)


def copy_hidden(sources: Sequence[Path], into: Path, *, logits: bool = True) -> list[Arrival]:
    """Join results folders in a new one that says nothing of where they were made.

    Args:
        sources: Results folders; they are only read.
        into: Made; nothing may be there.
        logits: Whether logits come along, by which others can compute all metrics again.

    Raises:
        UserError: no results in a source, or damaged ones.
    """
    arrivals = merge(sources, into, private=True)
    damaged = [path for arrival in arrivals for path in arrival.damaged]
    if damaged:
        raise UserError(
            f"{damaged[0]} cannot be read, so its row would be left out unseen; delete it, or run "
            "the same search again."
        )
    if logits:
        target, stores = open_store(into), [open_store(source) for source in sources]
        for row in target.scan(("task_fingerprint",)).table.to_pylist():
            _copy_logits(row["key"], row["task_fingerprint"], stores, target)
    return arrivals


def _copy_logits(key: str, fingerprint: str, stores: Sequence[Store], target: Store) -> None:
    for store in stores:
        table = store.logits_table(key)
        if table is None:
            continue
        ids = hidden_ids(table["image_id"].to_pylist(), fingerprint)
        at = table.schema.get_field_index("image_id")
        column = pa.array(ids, pa.string())
        write_table(table.set_column(at, LOGITS.field("image_id"), column), target.logits_file(key))
        return


def _hidden(image_id: str, fingerprint: str) -> str:
    if image_id.startswith(_PREFIX):
        return image_id
    return f"{_PREFIX}{salted_hash(fingerprint, image_id)}"
