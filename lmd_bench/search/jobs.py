"""A job: one trial as the queue hands it to a worker, and the text it travels as."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from lmd_bench.core.schema import (
    Config,
    DataSource,
    Row,
    TaskSpec,
    TrialContext,
    TrialSpec,
    complete,
)
from lmd_bench.search.proposing.pruning import NONE

_NEEDED = (
    *("key", "study", "method", "phase", "seed", "trial_number", "is_default", "source_key"),
    "proposed_by",
    *("status", "cause", "config_json", "encoder_rank", "encoder_key", "seconds"),
    "probe_val_balanced_accuracy",
    *("standalone_seconds", "gpu_share", "n_threads", "started_at", "finished_at"),
)
RETRIED = frozenset({"lost", "node_lost", "timeout", "oom", "error"})


@dataclass(frozen=True)
class Job:
    """One trial to run: what shapes it, and how it runs."""

    spec: TrialSpec
    context: TrialContext
    key: str  # of the spec, which is the name of its row
    encoder: str  # equal for jobs that need the same encoder

    def to_payload(self) -> dict[str, Any]:
        """Return the job as plain JSON-able data."""
        spec, context = asdict(self.spec), asdict(self.context)
        context["results"] = str(self.context.results)
        context["source"] = self.context.source.to_payload()
        return {"spec": spec, "context": context}


def make_job(spec: TrialSpec, context: TrialContext) -> Job:
    """Return the job of a spec."""
    return Job(spec, context, spec.key, spec.encoder_key)


def from_payload(payload: Mapping[str, Any]) -> Job:
    """Return the job that `Job.to_payload` wrote."""
    spec, context = dict(payload["spec"]), dict(payload["context"])
    spec["task"] = TaskSpec(**spec["task"])
    context["results"] = Path(context["results"])
    context["source"] = DataSource.from_payload(context["source"])
    context["thresholds"] = tuple((epoch, least) for epoch, least in context["thresholds"])
    return make_job(TrialSpec(**spec), TrialContext(**context))


def job_name(job: Job) -> str:
    """Return a short name: method, trial and phase."""
    phases = {"race": "races ", "confirm": "confirms ", "transfer": "takes over "}
    phase = phases.get(job.spec.phase, "")
    default = " (default)" if job.context.is_default else ""
    return f"{job.spec.method} {phase}#{job.context.trial_number}{default}"


def stage1_part(config: Config, representation: str) -> Config:
    """Return the keys of the sections `training` and `representation`."""
    sections = ("training.", f"{representation}.")
    return {key: value for key, value in config.items() if key.startswith(sections)}


def config_of(row: Row) -> Config:
    """Return the config of a row."""
    return complete(json.loads(row["config_json"]))


def value_of(row: Row) -> float | None:
    """Return what a row is judged by, val balanced accuracy; None for a failed trial."""
    value = row["val_balanced_accuracy"]
    if row["status"] != "ok" or value is None or not isfinite(value):
        return None
    return float(value)


def has_failed(row: Row) -> bool:
    """Say whether a trial failed; a pruned one did not, others were better."""
    return row["status"] != "pruned" and value_of(row) is None


def encoder_score(row: Row) -> float | None:
    """Return what the encoder of a stage-1 row is ranked by; None for a failed trial.

    It is the balanced linear probe of the features that calibrations stand on: the own head says
    little of them. Rows of before it was measured are ranked by their own head.
    """
    probe = row.get("probe_val_balanced_accuracy")
    own = value_of(row)
    return own if own is None or probe is None else float(probe)


def values_of(row: Row, objectives: Sequence[str]) -> tuple[float, ...] | None:
    """Return what a sampler is told of a row: these metrics on val; None for a failed trial."""
    if row["status"] != "ok":
        return None
    values = [row[f"val_{name}"] for name in objectives]
    if any(value is None or not isfinite(value) for value in values):
        return None
    return tuple(float(value) for value in values)


def stage1_curve(row: Row) -> tuple[float, ...]:
    """Return val balanced accuracy after each epoch of stage 1 that the row's trial trained."""
    points = row.get("curve") or ()
    return tuple(p["val_balanced_accuracy"] for p in points if p["stage"] == "representation")


def hours_of(row: Row) -> float:
    """Return what a row cost: GPU-hours where it held a GPU, else CPU-hours of its threads."""
    return row["seconds"] * (row["gpu_share"] or row["n_threads"]) / 3600


def typical_hours(rows: Iterable[Row], alone: bool) -> float | None:
    """Return the mean of what trials cost that came to their end, or were pruned; None of none.

    Args:
        rows: Of one study.
        alone: Whether a trial trains its own stage 1. One that found it in the cache then counts
            with what it would have cost alone, as the next one will.
    """
    costs = [
        hours_of({**row, "seconds": row.get("standalone_seconds", row["seconds"])})
        if alone
        else hours_of(row)
        for row in rows
        if row["status"] in ("ok", "pruned")
    ]
    return sum(costs) / len(costs) if costs else None


def kind_of_failure(row: Row) -> tuple[str, str] | None:
    """Return what equal failures have in common; None of a trial that failed by its config."""
    if row["status"] not in RETRIED:
        return None
    # Numbers, addresses and places differ from trial to trial.
    return row["status"], re.sub(r"0x[0-9a-f]+|\d+|\(.*?\)", "", row["cause"])


def ranked(rows: list[Row], score: Callable[[Row], float | None] = value_of) -> list[Row]:
    """Return the successful rows, best on val first; of equals the earlier trial comes first."""
    scored = [(value, row) for row in rows if (value := score(row)) is not None]
    return [row for _, row in sorted(scored, key=lambda pair: (-pair[0], pair[1]["trial_number"]))]


def set_apart(rows: Iterable[Row], retry: bool) -> tuple[list[Row], list[Row]]:
    """Return the rows that stand, and those whose trials run again."""
    stand: list[Row] = []
    again: list[Row] = []
    for row in rows:
        (again if retry and row["status"] in RETRIED else stand).append(row)
    return stand, again


def is_stale(row: Row, before: Row | None) -> bool:
    """Say whether a row is still the one that stood there before its trial ran again."""
    # Not all columns: NaN is no equal of itself, and only some are kept of rows before.
    same = ("status", "cause", "started_at", "finished_at", "seconds")
    return before is not None and all(row.get(name) == before.get(name) for name in same)


def columns_needed(objectives: Iterable[str], pruner: str) -> tuple[str, ...]:
    """Return the columns that a search goes by; curves, the bulk of a row, only for a pruner."""
    scores = dict.fromkeys(f"val_{name}" for name in ("balanced_accuracy", *objectives))
    return (*_NEEDED, *scores, *(() if pruner == NONE else ("curve",)))


def slim(row: Row, columns: Iterable[str]) -> Row:
    """Return some columns of a row: a driver holds those of very many."""
    return {name: row[name] for name in columns if name in row}
