"""One row of the results: made of a trial and of what was measured, and read back as a trial."""

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, cast

from lmd_bench.core import paths
from lmd_bench.core.schema import (
    SCHEMA_VERSION,
    Config,
    DataSource,
    Row,
    Scalar,
    TaskSpec,
    TrialContext,
    TrialRow,
    TrialSpec,
    canonical_json,
    complete,
    keyed,
)
from lmd_bench.store.columns import COLUMNS
from lmd_bench.store.provenance import provenance

_REQUIRED = frozenset(field.name for field in COLUMNS if not field.nullable)


def make_row(spec: TrialSpec, context: TrialContext, **measured: Any) -> TrialRow:
    """Return a complete row: spec, context and provenance filled in, then what was measured.

    `status`, `seconds`, `standalone_seconds`, `started_at` and `finished_at` must be measured;
    columns that are neither known nor measured are None, or empty lists and texts.
    """
    of_spec = {
        "key": spec.key,
        "schema_version": SCHEMA_VERSION,
        "phase": spec.phase,
        "study": spec.study,
        "method": spec.method,
        "representation": spec.representation,
        "calibration": spec.calibration,
        "versions_json": canonical_json(dict(spec.versions)),
        **asdict(spec.task),
        "task_fingerprint": spec.task_fingerprint,
        "config_json": canonical_json(keyed(spec.config)),
        **_encoder_columns(complete(spec.config)),
        "seed": spec.seed,
        "n_epochs": spec.n_epochs,
        **provenance(),
    }
    overlap = of_spec.keys() & measured.keys()
    assert not overlap, f"columns given by the spec were measured: {sorted(overlap)}"
    # What the context plans may have come out otherwise, so what was measured goes before it.
    planned = {
        "trial_number": context.trial_number,
        "repeat_of": context.repeat_of or None,
        "is_default": context.is_default,
        "proposed_by": context.proposed_by,
        "encoder_rank": context.encoder_rank,
        "n_stage1_trials": context.n_stage1_trials,
        "n_searched": context.n_searched,
        "factor_range": context.factor_range or None,
        "source_key": context.source_key,
        "command": context.command,
        "device": context.device,
        "gpu_share": context.gpu_share,
        "n_threads": context.n_threads,
    }
    texts = dict.fromkeys(("cause", "encoder_key"), "")
    lists: dict[str, list[Any]] = {"curve": [], "class_names": [], "class_counts": [], "groups": []}
    nullable = {field.name: None for field in COLUMNS if field.nullable}
    row = {**nullable, **texts, **lists, **planned, **of_spec, **measured}
    check_row(row)
    return cast("TrialRow", row)


def _encoder_columns(config: Config) -> dict[str, Scalar | None]:
    """Return what a config says of the encoder; a trial that failed is of the same group so."""
    start = config.get("training.weights") or (
        "pretrained" if config.get("training.pretrained") else "random"
    )
    return {
        "encoder": config.get("training.backbone"),
        "encoder_start": start,
        "features": config.get("training.features"),
        "tune": config.get("training.tune"),
    }


def spec_of(row: Row) -> TrialSpec:
    """Return the trial that a row says it is of."""
    return TrialSpec(
        task=TaskSpec(**{field.name: row[field.name] for field in fields(TaskSpec)}),
        task_fingerprint=row["task_fingerprint"],
        method=row["method"],
        representation=row["representation"],
        calibration=row["calibration"],
        config=complete(json.loads(row["config_json"])),
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


def context_of(row: Row, results: Path, source: DataSource) -> TrialContext:
    """Return where and how a row's trial ran, to run it again in another folder.

    Args:
        row: all of its columns.
        results: folder that the new row goes to.
        source: where the data lie on this machine.
    """
    return TrialContext(
        results=results,
        source=paths.located(row["dataset"], source),
        device="cpu" if row["device"] == "cpu" else "auto",
        n_threads=row["n_threads"],
        gpu_share=row["gpu_share"],
        trial_number=row["trial_number"],
        repeat_of=row["repeat_of"] or "",
        is_default=row["is_default"],
        proposed_by=row["proposed_by"],
        encoder_rank=row["encoder_rank"],
        n_stage1_trials=row["n_stage1_trials"],
        n_searched=row["n_searched"],
        factor_range=row["factor_range"] or "",
        source_key=row["source_key"],
        command=row["command"],
    )
