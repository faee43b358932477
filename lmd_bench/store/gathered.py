"""Logits of many trials in one file, `gathered/<hash>.parquet`, one row a trial and split.

Image ids, labels and groups are lists that repeat from trial to trial, so compression leaves little
of them. Logits may be rounded (`roundings.py`), and are then small whole numbers (`coding.py`). A
trial whose single file lies in `logits/` is read from there.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lmd_bench.core.errors import UserError
from lmd_bench.core.files import patiently
from lmd_bench.store.coding import decoded
from lmd_bench.store.columns import LOGITS

FOLDER = "gathered"
ROW_GROUP = 128  # trials and splits; one group is read to get one of them
_LISTS = {
    "image_id": pa.string(),
    "label": pa.int16(),
    "logits": pa.float32(),
    "group": pa.string(),
}
GATHERED = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        *(pa.field(name, pa.list_(kind), nullable=False) for name, kind in _LISTS.items()),
    ]
)
# As they are stored. Files of earlier versions hold what `GATHERED` says.
STORED = pa.schema(
    [
        *GATHERED,
        pa.field("step", pa.int8()),  # the coded numbers are multiples of 2^-step; null: not coded
        pa.field("base", pa.int16()),  # place in the row group of what they are told from
        pa.field("coded", pa.list_(pa.int32()), nullable=False),
    ]
)
SETTLED = {b"rounded": b"to a step, all shifts tried"}  # what a file says whose logits stay so
_NUMBERS = ("logits", "coded")
LAYOUT: dict[str, Any] = {
    "compression": "brotli",
    "compression_level": 11,  # written once; 4 % smaller than zstd at 19
    "data_page_size": 64 << 20,  # a group in one page: what repeats is found over all of it
    "write_page_checksum": True,
    "use_dictionary": [name for name in STORED.names if name not in _NUMBERS],
    # The bytes of one place of all numbers together: the upper ones of small numbers are mostly 0.
    "column_encoding": {f"{name}.list.element": "BYTE_STREAM_SPLIT" for name in _NUMBERS},
}


def as_rows(key: str, table: pa.Table) -> list[dict[str, Any]]:
    """Return the logits of a trial as rows of `GATHERED`, one for each split.

    Args:
        key: Of the trial.
        table: In the schema of a single file; `group` may be absent.
    """
    columns = {name: table[name].to_pylist() for name in table.column_names}
    groups = columns.get("group", [None] * table.num_rows)
    rows: list[dict[str, Any]] = []
    for split in dict.fromkeys(columns["split"]):
        places = [place for place, of in enumerate(columns["split"]) if of == split]
        rows.append(
            {
                "key": key,
                "split": split,
                "image_id": [columns["image_id"][place] for place in places],
                "label": [columns["label"][place] for place in places],
                "logits": [number for place in places for number in columns["logits"][place]],
                "group": [groups[place] for place in places],
            }
        )
    return rows


def read_gathered(root: Path, key: str, columns: Sequence[str] | None = None) -> pa.Table | None:
    """Return the logits of a trial as a single file has them; None where none were gathered.

    Args:
        root: A results folder.
        key: Of the trial.
        columns: Those of a single file that are asked for; None: all.

    Raises:
        UserError: a file is damaged.
    """
    for path in gathered_files(root):
        try:
            found = patiently(lambda path=path: _rows_of(path, key))
        except FileNotFoundError:
            # Another gathering has replaced it meanwhile.
            return read_gathered(root, key, columns)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _damaged(path, error) from error
        if found.num_rows:
            return _as_images(found, columns or LOGITS.names)
    return None


def gathered_keys(path: Path) -> list[str]:
    """Return the key of each row of a gathered file, in its order.

    Raises:
        UserError: the file is damaged.
        FileNotFoundError: another gathering has replaced it meanwhile.
    """
    try:
        table = patiently(lambda: pq.read_table(path, columns=["key"]))
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error
    return table["key"].to_pylist()


def is_settled(path: Path) -> bool:
    """Say whether rounded logits of a gathered file need not be rounded again."""
    return (pq.read_schema(path).metadata or {}).items() >= SETTLED.items()


def gathered_files(root: Path) -> list[Path]:
    """Return the gathered files of a results folder."""
    return sorted(root.glob(f"{FOLDER}/[!.]*.parquet"))


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(
        f"{path} is damaged ({error}); bring it back from where it was copied, or delete it and "
        "run the same searches again."
    )


def _rows_of(path: Path, key: str) -> pa.Table:
    changed = path.stat().st_mtime_ns
    rows = [
        _group(path, changed, place // ROW_GROUP).slice(place % ROW_GROUP, 1)
        for place in _places(path, changed).get(key, ())
    ]
    return pa.concat_tables([GATHERED.empty_table(), *rows])


def _as_images(rows: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Return one row an image, the lists of all splits one after the other."""
    rows = rows.combine_chunks()
    n_images = np.array([len(labels) for labels in rows["label"]])
    n_numbers = np.array([len(logits) for logits in rows["logits"]])
    widths = np.repeat(n_numbers // np.maximum(n_images, 1), n_images)
    ends = np.concatenate([[0], np.cumsum(widths)]).astype(np.int32)

    def column(name: str) -> pa.Array:
        if name == "split":
            return pa.array(np.repeat(rows["split"].to_numpy(), n_images), pa.string())
        flat = pc.call_function("list_flatten", [rows[name]]).combine_chunks()
        return pa.ListArray.from_arrays(pa.array(ends), flat) if name == "logits" else flat

    chosen = [field for field in LOGITS if field.name in columns]
    arrays = [column(field.name) for field in chosen]
    return pa.Table.from_arrays(arrays, schema=pa.schema(chosen))


@lru_cache(maxsize=8)
def _places(path: Path, changed: int) -> dict[str, tuple[int, ...]]:
    """Return the numbers of the rows of each key; a file never changes under its name."""
    places: dict[str, tuple[int, ...]] = {}
    for place, key in enumerate(gathered_keys(path)):
        places[key] = (*places.get(key, ()), place)
    return places


@lru_cache(maxsize=8)
def _group(path: Path, changed: int, group: int) -> pa.Table:
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        return decoded(file.read_row_group(group).combine_chunks())
