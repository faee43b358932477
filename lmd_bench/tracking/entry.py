"""A row as trackers take it: settings, scores, curves, and what else is known of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from math import isfinite

import pyarrow as pa

from lmd_bench.core.schema import Row, Scalar, complete
from lmd_bench.core.text import task_label
from lmd_bench.store.columns import COLUMNS

_SETTINGS = (
    *("method", "representation", "calibration", "dataset", "protocol", "imbalance_factor"),
    *("split_seed", "image_size", "n_max", "encoder", "encoder_start", "features", "tune"),
    *("seed", "n_epochs"),
)
_FACTS = (
    *("key", "phase", "study", "status", "cause", "source_key", "trial_number", "is_default"),
    *("task_fingerprint", "device", "host", "started_at", "finished_at", "package_version"),
    *("git_commit", "corruption", "strength"),
)
_NUMBERS = (pa.float64(), pa.int32(), pa.int64())
_NOT_SCORES = {*_SETTINGS, *_FACTS, "schema_version", "strength"}
SCORES = tuple(
    field.name for field in COLUMNS if field.type in _NUMBERS and field.name not in _NOT_SCORES
)
_CURVES = ("loss", "val_balanced_accuracy")


@dataclass(frozen=True)
class Entry:
    """One row, which a tracker shows as one run."""

    key: str  # of the row
    stamp: str  # of two rows of one key, which this is: when it finished
    title: str  # for people
    study: str
    phase: str
    went_well: bool
    started: float  # seconds since 1970
    ended: float
    settings: Mapping[str, Scalar]
    facts: Mapping[str, str]
    scores: Mapping[str, float]  # finite
    curves: Mapping[str, list[tuple[int, float]]]  # name -> epoch and value, finite


def entry_of(row: Row) -> Entry:
    """Return what trackers take of a row.

    Args:
        row: All of its columns.
    """
    settings = {name: row[name] for name in _SETTINGS if row[name] is not None}
    curves: dict[str, list[tuple[int, float]]] = {}
    for point in row["curve"]:
        for name in _CURVES:
            if isfinite(point[name]):
                values = curves.setdefault(f"{point['stage']}/{name}", [])
                values.append((point["epoch"], point[name]))
    return Entry(
        key=row["key"],
        stamp=row["finished_at"],
        title=f"{row['method']} #{row['trial_number']} {row['phase']} · {task_label(row)}",
        study=row["study"],
        phase=row["phase"],
        went_well=row["status"] in ("ok", "pruned"),
        started=datetime.fromisoformat(row["started_at"]).timestamp(),
        ended=datetime.fromisoformat(row["finished_at"]).timestamp(),
        settings=settings | complete(json.loads(row["config_json"])),
        facts={name: str(row[name]) for name in _FACTS if row[name] not in (None, "")},
        scores={
            name: float(row[name])
            for name in SCORES
            if row[name] is not None and isfinite(row[name])
        },
        curves=curves,
    )


def steps_of(entry: Entry) -> list[dict[str, float]]:
    """Return what is logged at each step: all curves of a stage at one of its epochs."""
    steps: dict[tuple[str, int], dict[str, float]] = {}
    for name, points in entry.curves.items():
        stage = name.partition("/")[0]
        for epoch, value in points:
            values = steps.setdefault((stage, epoch), {f"{stage}/epoch": float(epoch)})
            values[name] = value
    return list(steps.values())
