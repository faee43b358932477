"""Gather the logits of many trials in one file, rounded as far as that changes no metric.

As for rows, the gathered file is written and read back before a single file goes, so logits are in
one of the two or in both, whenever this is killed.

A trial is rounded to the coarsest step, 2^-5 to 2^-16, that leaves all of its metrics the same at
four digits. A constant added to all of its logits leads to another rounding, so 15 of them (-7 to 7
sixteenths of the step) are tried at each step; `roundings.py` has them. `coding.py` writes what
comes out as whole numbers, told from an earlier trial whose logits are much like them. What is
rounded so stays as it is. What earlier versions rounded to 10 to 16 bits after the leading one, or
to a step without constants, is rounded again, once; what they rounded with a logit for the first
class loses only that.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import Row
from lmd_bench.store.coding import coded
from lmd_bench.store.compaction import alone_at_work, mark, put_back, remove, write_by_hash
from lmd_bench.store.gathered import (
    FOLDER,
    LAYOUT,
    ROW_GROUP,
    SETTLED,
    STORED,
    as_rows,
    gathered_files,
    gathered_keys,
    is_settled,
    read_gathered,
)
from lmd_bench.store.recomputed import contradicted
from lmd_bench.store.reproductions import read_records
from lmd_bench.store.roundings import (
    SHIFTED,
    Rounding,
    are_less_first,
    are_rounded,
    less_first,
    round_logits,
    step_of,
)
from lmd_bench.store.row_files import in_order
from lmd_bench.store.store import SplitLogits, Store, open_store


@dataclass(frozen=True)
class Gathering:
    """What came of gathering logits."""

    n_trials: int  # in the gathered file
    n_rounded: int
    n_gathered: int  # single files that went into it
    file: Path | None  # None: there were no logits
    damaged: tuple[Path, ...]  # left where they are


def gather(root: Path, *, rounded: bool = False) -> Gathering:
    """Gather the logits of all rows of a results folder in one file, and remove the single ones.

    What was gathered before is carried over, whether or not its row can be read now.

    Args:
        root: A results folder.
        rounded: Round each trial's logits to the coarsest step that leaves all of its metrics the
            same at four digits, with the constant before it that lets it be that coarse, less that
            of each image's first class. One that was reproduced keeps all, as its record holds
            their hash; one that is so rounded stays as it is.

    Raises:
        UserError: no results there, another compaction is at work, or gathered logits are damaged.
    """
    store = open_store(root)
    with alone_at_work(root, f"The logits in {root} cannot be gathered"):
        return _gather(store, rounded)


def _gather(store: Store, rounded: bool) -> Gathering:
    put_back(store.root / "logits")
    rows: list[Row] = in_order(store.scan().table).to_pylist()
    row_of = {row["key"]: row for row in rows}
    old = gathered_files(store.root)
    keys_of = {path: gathered_keys(path) for path in old}
    unsettled = {key for path in old if not is_settled(path) for key in keys_of[path]}
    # A key whose row cannot be read now is carried over: the row may be brought back.
    keys = dict.fromkeys(chain(row_of, *keys_of.values()))
    singles = {key: store.logits_file(key) for key in keys}
    marks = {key: seen for key, path in singles.items() if (seen := mark(path)) is not None}
    as_told = {record.key for record in read_records(store.root)}
    n_rounded, gathered, damaged = 0, list[str](), list[Path]()

    def trials() -> Iterator[Sequence[dict[str, Any]]]:
        nonlocal n_rounded
        for key in keys:
            row = row_of.get(key)
            try:
                table = store.logits_table(key)
            except UserError:
                if key not in marks:
                    raise
                damaged.append(singles[key])
                del marks[key]
                # What was gathered of it before stays, as it is.
                row, table = None, read_gathered(store.root, key)
            if table is None:
                continue
            entries = as_rows(key, table)
            # Without its row nobody knows whether rounding changes a metric.
            if rounded and row is not None and key not in as_told:
                again = key in unsettled and key not in marks
                entries = _rounded(row, entries, store.read_logits(key), again=again)
            logits = [np.array(entry["logits"], dtype=np.float32) for entry in entries]
            n_rounded += all(map(are_rounded, logits))
            gathered.append(key)
            yield entries

    left = unsettled - row_of.keys() if rounded else unsettled
    settled = bool(rounded or old) and not left
    file = _write(store.root, trials(), SETTLED if settled else {})
    if file is None:
        return Gathering(0, 0, 0, None, tuple(damaged))
    for path in old:
        if path != file:
            path.unlink(missing_ok=True)
    n_removed = sum(remove(singles[key], marks[key]) for key in gathered if key in marks)
    return Gathering(len(gathered), n_rounded, n_removed, file, tuple(damaged))


def _rounded(
    row: Row, entries: list[dict[str, Any]], logits: Mapping[str, SplitLogits], *, again: bool
) -> list[dict[str, Any]]:
    """Return the logits of a trial rounded as far as no metric changes.

    What is rounded to a step stays so, or is rounded again to a coarser one where that goes. The
    logit of each image's first class is taken off.
    """
    # What they contradict already is no doing of the rounding, but a row to look at.
    if contradicted(row, logits)[1]:
        return entries
    ways: Sequence[Rounding] = SHIFTED
    steps = [step for _, _, z in logits.values() if (step := step_of(z)) is not None]
    if len(steps) == len(logits):
        as_it_is = Rounding("step", max(steps, default=0))
        coarser = [way for way in SHIFTED if again and way.n < as_it_is.n]
        if not coarser and all(are_less_first(z) for _, _, z in logits.values()):
            return entries
        ways = [*coarser, as_it_is]
    for way in ways:
        of_split = {
            split: (ids, labels, less_first(round_logits(z, way)))
            for split, (ids, labels, z) in logits.items()
        }
        if not contradicted(row, of_split)[1]:
            return [entry | {"logits": of_split[entry["split"]][2].ravel()} for entry in entries]
    return entries


def _write(
    root: Path, trials: Iterator[Sequence[dict[str, Any]]], says: Mapping[bytes, bytes]
) -> Path | None:
    """Write logits, and make sure that they can be read; None where there are none."""
    first = next(trials, None)
    if first is None:
        return None
    folder = root / FOLDER
    folder.mkdir(exist_ok=True)

    def write(temporary: Path) -> bool:
        keys: list[str] = []
        waiting: list[dict[str, Any]] = []
        with pq.ParquetWriter(temporary, STORED.with_metadata(says), **LAYOUT) as writer:
            for entries in chain([first], trials):
                waiting += entries
                keys += [entry["key"] for entry in entries]
                while len(waiting) >= ROW_GROUP:
                    writer.write_table(_coded(waiting[:ROW_GROUP]))
                    del waiting[:ROW_GROUP]
            if waiting:
                writer.write_table(_coded(waiting))
        return _keys_of_all(temporary) == keys

    return write_by_hash(folder, write)


def _coded(entries: Sequence[Mapping[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(coded(entries)), STORED)


def _keys_of_all(path: Path) -> list[str]:
    """Return the keys of a file of which every page was read."""
    keys: list[str] = []
    with (
        suppress(pa.ArrowException, OSError),
        pq.ParquetFile(path, page_checksum_verification=True) as file,
    ):
        for group in range(file.num_row_groups):
            keys += file.read_row_group(group)["key"].to_pylist()
    return keys
