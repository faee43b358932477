"""TODO."""

import json
from dataclasses import asdict, fields
from typing import Any

from lmd_bench.core.schema import SCHEMA_VERSION, TaskSpec, TrialContext, TrialSpec, canonical_json
from lmd_bench.store.columns import COLUMNS
from lmd_bench.store.provenance import provenance

Row = dict[str, Any]


_REQUIRED = frozenset(field.name for field in COLUMNS if not field.nullable)


def make_row(spec: TrialSpec, context: TrialContext, **measured: Any) -> Row:
    """Return a complete row: spec, context and provenance filled in, then what was measured.

    `status`, `seconds`, `standalone_seconds`, `started_at` and `finished_at` must be measured;
    columns that are neither known nor measured are None, or empty lists and texts.
    """
    known = {"key": spec.key, "schema_version": SCHEMA_VERSION, **asdict(spec.task)}
    for name in ("phase", "study", "method", "representation", "calibration"):
        known[name] = getattr(spec, name)
    known |= {"task_fingerprint": spec.task_fingerprint, "seed": spec.seed}
    known |= {"n_epochs": spec.n_epochs, "config_json": canonical_json(dict(spec.config))}
    known |= {"versions_json": canonical_json(dict(spec.versions)), **provenance()}
    overlap = known.keys() & measured.keys()
    assert not overlap, f"columns given by the spec were measured: {sorted(overlap)}"
    defaults: Row = {field.name: None for field in COLUMNS if field.nullable}
    defaults |= {"cause": "", "encoder_key": "", "curve": []}
    defaults |= {"class_names": [], "class_counts": [], "groups": []}
    from_context = ("trial_number", "is_default", "encoder_rank", "source_key", "command")
    for name in (*from_context, "device", "gpu_share", "n_threads"):
        defaults[name] = getattr(context, name)
    row = {**defaults, **known, **measured}
    check_row(row)
    return row


def spec_of(row: Row) -> TrialSpec:
    """Return the trial that a row says it is of."""
    return TrialSpec(
        task=TaskSpec(**{field.name: row[field.name] for field in fields(TaskSpec)}),
        task_fingerprint=row["task_fingerprint"],
        method=row["method"],
        representation=row["representation"],
        calibration=row["calibration"],
        config=json.loads(row["config_json"]),
        seed=row["seed"],
        n_epochs=row["n_epochs"],
        phase=row["phase"],
        study=row["study"],
        versions=json.loads(row["versions_json"]),
    )


def check_row(row: Row) -> None:
    """Check our own invariant: each column is there, no other is, and only nullable ones are None.

    Raises:
        AssertionError: it does not hold.
    """
    names = set(COLUMNS.names)
    assert row.keys() == names, f"columns missing or unknown: {sorted(row.keys() ^ names)}"
    empty = sorted(name for name in _REQUIRED if row[name] is None)
    assert not empty, f"columns that must have a value are None: {empty}"
