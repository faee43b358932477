"""The store: one small Parquet file per trial, which is the truth of what has been run.

A results folder holds `store.json`, `trials/<key>.parquet` (one row each) and
`logits/<key>.parquet`; `compacted/<hash>.parquet` holds rows that `lmd-bench compact` gathered, and
`gathered/<hash>.parquet` logits.
Each file is written under a name that begins with a dot and then renamed, so a reader sees all of
it or nothing, and several processes may write at once.
"""

import json
import os
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Int64

from lmd_bench.core.errors import BrokenPlaceError, UserError
from lmd_bench.core.files import whole_file
from lmd_bench.core.schema import SCHEMA_VERSION, Phase, Row, TrialRow, canonical_json
from lmd_bench.store.columns import COLUMNS, LOGITS
from lmd_bench.store.gathered import read_gathered
from lmd_bench.store.provenance import package_version
from lmd_bench.store.row_files import (
    ONE_ROW,
    Scan,
    in_order,
    newest,
    read_table,
    row_of,
    scan,
    write_table,
)
from lmd_bench.store.rows import check_row

# Image id, split, label, logits, and the hash of the group where the image has one.
LogitRow = tuple[str, str, int, Sequence[float]] | tuple[str, str, int, Sequence[float], str | None]
SplitLogits = tuple[
    tuple[str, ...], Int64[np.ndarray, " images"], Float[np.ndarray, "images classes"]
]
_IN_FOOTER = ("key", "command", "git_commit", "package_version", "python_version")
_LISTED = 8  # candidates; a key has 20 digits, so more of it tells them apart
FOLDER = "ablations"  # of a results folder; one JSON file for each ablation
REPRODUCTIONS = "reproductions"  # one JSON file for each row that was run again


@dataclass(frozen=True)
class Look:
    """What a search reads of a store."""

    rows: list[Row]
    damaged: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Store:
    """A results folder. Any number of processes may read and write it at once."""

    root: Path

    @property
    def folders(self) -> tuple[Path, ...]:
        """Return the folders that are read."""
        return (self.root,)

    def write(self, row: TrialRow, logits: Iterable[LogitRow] = ()) -> None:
        """Write a row, its logits first; a row of the same key is replaced.

        Args:
            row: All columns, as `make_row` gives them.
            logits: Image id, split, label and logits of each judged image, and its group.
        """
        check_row(row)
        # Logits before the row: whoever sees the row may read them.
        # An image that is its own group needs none, so the last value may be absent.
        rows = [dict(zip(LOGITS.names, item, strict=False)) for item in logits]
        if rows:
            write_table(pa.Table.from_pylist(rows, LOGITS), self.logits_file(row["key"]))
        table = pa.Table.from_pylist([row], COLUMNS)
        write_table(table, self.trial_file(row["key"]), _footer(row), **ONE_ROW)

    def get(self, key: str) -> TrialRow | None:
        """Return the row of a key; None where there is none, or its file is damaged."""
        path = self.trial_file(key)
        # A shared disk may remember for a minute that a file is not there; opening its folder makes
        # it look again.
        if not path.exists():
            with suppress(OSError):
                os.close(os.open(path.parent, os.O_RDONLY))
        # The single file first: a compaction moves rows from single files to compacted ones.
        single = scan([path], one_row=True).table
        rows = newest(row_of(key, self.compacted), single)
        return rows.to_pylist()[0] if rows.num_rows else None

    def find(self, prefix: str, phase: Phase | None = None) -> TrialRow:
        """Return the row whose key begins with `prefix`, of one phase alone if it is given.

        Raises:
            UserError: no key begins so, or several do.
        """
        table = self.scan(("key", "method", "phase", "seed")).table
        candidates: list[dict[str, Any]] = sorted(
            (
                row
                for row in table.to_pylist()
                if row["key"].startswith(prefix) and phase in (None, row["phase"])
            ),
            key=lambda row: row["key"],
        )
        if not candidates:
            kind = f"{phase} row" if phase else "row"
            raise UserError(
                f"No {kind} in {self.root} has a key that begins with '{prefix}'; the keys are in "
                "the column selected_key of lmd-bench leaderboard --format csv, and name the files "
                "in trials."
            )
        # A whole key is never ambiguous, even where another begins with it.
        if len(candidates) > 1 and candidates[0]["key"] != prefix:
            listed = [f"{row['key']} ({_described(row)})" for row in candidates[:_LISTED]]
            n_more = len(candidates) - _LISTED
            listed += [f"{n_more} more"] if n_more > 0 else []
            raise UserError(
                f"{len(candidates)} keys begin with '{prefix}'; give more of one: "
                f"{', '.join(listed)}."
            )
        row = self.get(candidates[0]["key"])
        if row is None:
            raise UserError(
                f"The row {candidates[0]['key']} can be read in part only; run the same search "
                "again to redo it."
            )
        return row

    def has(self, key: str) -> bool:
        """Return whether `get` finds a row; a damaged one counts as missing, to be run again."""
        return self.get(key) is not None

    def scan(self, columns: Sequence[str] | None = None) -> Scan:
        """Return the rows of single and compacted files, each key once, and the damaged files.

        Args:
            columns: Those to read (and `key` and `finished_at`); None: all. Few are much quicker.
        """
        single = scan(self.singles(), columns, one_row=True)
        # A row leaves its single file after it is in a compacted one, so these are read last; and
        # again if a compaction replaces one meanwhile.
        compacted = scan(listed := self.compacted(), columns)
        while compacted.gone and listed != self.compacted():
            compacted = scan(listed := self.compacted(), columns)
        return Scan(
            newest(compacted.table, single.table),
            compacted.read + single.read,
            compacted.damaged + single.damaged,
            single.gone,
        )

    def look(self, columns: Sequence[str], studies: Collection[str]) -> Look:
        """Return some columns of the rows of some studies, in their order, and what is damaged.

        It takes a hundredth of the memory that all columns of all rows do.
        """
        found = self.scan(columns)
        of_these = pc.call_function("is_in", [found.table["study"]], _among(studies))
        return Look(in_order(found.table.filter(of_these)).to_pylist(), found.damaged)

    def rows(self, study: str | None = None) -> list[TrialRow]:
        """Return all rows, or those of one study, ordered by study, phase, trial number and seed.

        Damaged files are left out; `damaged` names them. Every file is read (1 s per 2,000 single
        ones): to see many studies, read once and group.
        """
        table = self.scan().table
        if study is not None:
            table = table.filter(pa.array(np.asarray(table["study"]) == study))
        return in_order(table).to_pylist()

    def damaged(self) -> list[Path]:
        """Return the row files that cannot be read: cut off, altered, or not of this schema."""
        return list(self.scan().damaged)

    def frame(self) -> pd.DataFrame:
        """Return all rows as a data frame, one column for each of `COLUMNS`."""
        return in_order(self.scan().table).to_pandas()

    def read_logits(self, key: str) -> dict[str, SplitLogits]:
        """Return image ids, labels and logits of a trial by split; empty where none were kept.

        Raises:
            UserError: the file is damaged.
        """
        table = self.logits_table(key)
        if table is None:
            return {}
        split_of = np.array(table["split"].to_pylist())
        image_ids = np.array(table["image_id"].to_pylist(), dtype=object)
        labels = table["label"].to_numpy().astype(np.int64)
        logits = np.array(table["logits"].to_pylist(), dtype=np.float32)
        masks = {str(split): split_of == split for split in np.unique(split_of)}
        return {
            split: (tuple(image_ids[mask]), labels[mask], logits[mask])
            for split, mask in masks.items()
        }

    def logits_table(self, key: str, columns: Sequence[str] | None = None) -> pa.Table | None:
        """Return the logits of a trial, one row an image; None where none were kept.

        Args:
            key: Of the trial.
            columns: Those to read; None: all.

        Raises:
            UserError: the file is damaged.
        """
        path = self.logits_file(key)
        # The single file first: a gathering moves logits from single files to gathered ones.
        if path.exists():
            table = read_table(path, columns)
            if table is not None:
                return table
            # Unlike a damaged row, which is run again by itself, nothing redoes logits alone.
            if path.exists():
                raise UserError(
                    f"The logits in {path} are damaged; delete that file and trials/{path.name}, "
                    "then run the same search again."
                )
        return read_gathered(self.root, key, columns)

    def read_groups(self, key: str) -> dict[str, tuple[str | None, ...]]:
        """Return the hashed lesion or patient of each image by split, in the order of the logits.

        None for an image that is its own group. Empty where no logits were kept, or where an
        earlier version wrote them without groups.

        Raises:
            UserError: the file is damaged.
        """
        table = self.logits_table(key, ("split", "group"))
        if table is None or "group" not in table.column_names:
            return {}
        groups: dict[str, list[str | None]] = {}
        for split, group in zip(
            table["split"].to_pylist(), table["group"].to_pylist(), strict=True
        ):
            groups.setdefault(split, []).append(group)
        return {split: tuple(of_split) for split, of_split in groups.items()}

    def trial_file(self, key: str) -> Path:
        """Return where the row of a trial lies until it is compacted."""
        return self.root / "trials" / f"{key}.parquet"

    def logits_file(self, key: str) -> Path:
        """Return where the logits of a trial lie, if they were kept."""
        return self.root / "logits" / f"{key}.parquet"

    def singles(self) -> list[Path]:
        """Return the files of one row each."""
        return sorted(self.root.glob("trials/[!.]*.parquet"))

    def compacted(self) -> list[Path]:
        """Return the files of many rows."""
        return sorted(self.root.glob("compacted/[!.]*.parquet"))


def _among(values: Collection[str]) -> pc.SetLookupOptions:
    return pc.SetLookupOptions(value_set=pa.array(sorted(values), pa.string()))


def open_store(root: Path, *, create: bool = False) -> Store:
    """Return the store in a folder; with `create`, make it where there is none.

    Raises:
        UserError: no results there, or results of another schema version.
    """
    marker = root / "store.json"
    if create:
        _create(root, marker)
    if not marker.is_file():
        raise UserError(
            f"There are no results in {root}; run lmd-bench search first, or name another folder "
            "with --results."
        )
    version, package = _read_marker(marker)
    if version != SCHEMA_VERSION:
        raise UserError(
            f"The results in {root} have schema version {version}, written by lmd-bench {package}; "
            f"this is lmd-bench {package_version()}, which reads version {SCHEMA_VERSION}. Name "
            "another folder with --results, or install the version that wrote them."
        )
    return Store(root)


def _create(root: Path, marker: Path) -> None:
    try:
        for folder in ("trials", "logits"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        if not marker.exists():
            text = {"schema_version": SCHEMA_VERSION, "package_version": package_version()}
            with whole_file(marker) as temporary:
                temporary.write_text(json.dumps(text) + "\n")
    except OSError as error:
        raise BrokenPlaceError(
            f"The results folder {root} cannot be made ({error.strerror}); name another with "
            "--results."
        ) from error


def _read_marker(marker: Path) -> tuple[int, str]:
    try:
        data = json.loads(marker.read_text())
        return int(data["schema_version"]), str(data["package_version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{marker} is not what lmd-bench wrote there ({error!r}); restore it, or name another "
            "folder with --results."
        ) from error


def _footer(row: Row) -> dict[str, str]:
    provenance_of_row: dict[str, Any] = {name: row[name] for name in _IN_FOOTER}
    provenance_of_row["library_versions"] = json.loads(row["library_versions_json"])
    return {"lmd_bench": canonical_json(provenance_of_row)}


def _described(row: Row) -> str:
    return f"{row['method']}, {row['phase']}, seed {row['seed']}"
