"""What came of running rows again, kept beside them: `reproductions/<key>.json`.

A record holds hashes of what the row said and of what came out again. So it speaks of that outcome
alone: of a row that was altered afterwards it says nothing.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal, get_args

from lmd_bench.core.files import whole_file
from lmd_bench.core.schema import Row
from lmd_bench.stats.metrics import METRICS
from lmd_bench.store.hiding import hidden_ids
from lmd_bench.store.store import REPRODUCTIONS, SplitLogits, Store

Verdict = Literal["bit-equal", "within seed spread", "different"]
PASSED: tuple[Verdict, ...] = ("bit-equal", "within seed spread")
_STORED = [name for name, metric in METRICS.items() if metric.on_val]
# What a trial gave, in every version of the columns, and the same after what tells of a site is
# taken away.
_HASHED = (
    *("key", "status", "class_names", "class_counts", "groups", "best_epoch"),
    *(f"{split}_{name}" for split in ("val", "test") for name in (*_STORED, "recall")),
)


@dataclass(frozen=True)
class Record:
    """One run of a row's trial from nothing. It names no machine and no path."""

    key: str
    verdict: Verdict
    row_sha256: str  # of what the row says came out
    logits_sha256: str  # of its logits; "" where none were kept
    again_row_sha256: str
    again_logits_sha256: str
    outcome: tuple[str, ...]  # what came out otherwise
    provenance: tuple[str, ...]  # what it was made with otherwise
    device: str
    package_version: str
    git_commit: str | None
    finished_at: str

    @property
    def passed(self) -> bool:
        """Say whether the same came out, or within the spread of the seeds."""
        return self.verdict in PASSED

    def fits(self, row: Row, logits: Mapping[str, SplitLogits]) -> bool:
        """Say whether the record speaks of this row as it is, and of its logits."""
        return (self.key, self.row_sha256, self.logits_sha256) == (
            row["key"],
            row_hash(row),
            logits_hash(logits, row["task_fingerprint"]),
        )


def row_hash(row: Row) -> str:
    """Return the SHA-256 of what a row says came out; what it cost and where is not in it."""
    text = json.dumps({name: row[name] for name in _HASHED}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def logits_hash(logits: Mapping[str, SplitLogits], task_fingerprint: str) -> str:
    """Return the SHA-256 of logits, labels and hidden ids; "" of none."""
    if not logits:
        return ""
    digest = hashlib.sha256()
    for split in sorted(logits):
        ids, labels, matrix = logits[split]
        digest.update(json.dumps([split, hidden_ids(ids, task_fingerprint)]).encode())
        digest.update(labels.astype("<i8").tobytes())
        digest.update(matrix.astype("<f4").tobytes())
    return digest.hexdigest()


def write_record(root: Path, record: Record) -> Path:
    """Keep a record beside the rows; an earlier one of the same row is replaced."""
    final = root / REPRODUCTIONS / f"{record.key}.json"
    final.parent.mkdir(exist_ok=True)
    with whole_file(final) as temporary:
        temporary.write_text(json.dumps(asdict(record), indent=1) + "\n", encoding="utf-8")
    return final


def read_records(root: Path) -> list[Record]:
    """Return the records of a results folder; what is no record is left out."""
    records = (_record(path) for path in sorted((root / REPRODUCTIONS).glob("[!.]*.json")))
    return [record for record in records if record is not None]


def fitting_records(root: Path, store: Store) -> list[Record]:
    """Return the records of a folder that speak of rows of a store as they are there."""
    fitting: list[Record] = []
    for record in read_records(root):
        row = store.get(record.key)
        if row is not None and record.fits(row, store.read_logits(record.key)):
            fitting.append(record)
    return fitting


def _record(path: Path) -> Record | None:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        values |= {name: tuple(values[name]) for name in ("outcome", "provenance")}
        record = Record(**{field.name: values[field.name] for field in fields(Record)})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if record.verdict not in get_args(Verdict) or path.stem != record.key:
        return None
    return record
