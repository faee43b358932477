"""Where a row comes from: its task, study, source, encoder, seeds, versions, cost and command."""

import json
from dataclasses import dataclass
from math import isnan
from typing import Any

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import OF_A_STUDY, Row
from lmd_bench.core.text import clock, task_label
from lmd_bench.stats.metrics import METRICS
from lmd_bench.store.store import Store

_READ = (
    *("key", "phase", "study", "method", "source_key", "encoder_key", "seed", "status"),
    *("trial_number", "is_default", "finished_at", "val_balanced_accuracy"),
)
_GIVEN = {"point": ", a given point", "portfolio": ", of a portfolio", "prior": ", by the prior"}
_LISTED = 10  # rows in one paragraph


@dataclass(frozen=True)
class Lineage:
    """A row, and the rows of its store that it hangs together with; those hold a few columns."""

    row: Row
    source: (
        Row | None
    )  # the search row that a confirmation or transfer retrains, where it is in the store
    confirmations: tuple[Row, ...]  # that retrain this row's config, or its source's
    transfers: tuple[Row, ...]  # that do so on another task
    same_encoder: tuple[Row, ...]  # others that stand on its encoder, the first to finish first
    n_trials: int  # search rows of its study


def lineage(store: Store, row: Row) -> Lineage:
    """Return what a row hangs together with.

    Raises:
        UserError: its settings or versions are no JSON.
    """
    for name in ("config_json", "versions_json", "library_versions_json"):
        if not _is_table(row[name]):
            raise UserError(
                f"The {name} of row {row['key']} in {store.root} cannot be read; run lmd-bench "
                "verify on the folder, and fetch the row anew."
            )
    others: list[Row] = store.scan(_READ).table.to_pylist()
    others.sort(key=lambda other: (other["finished_at"], other["key"]))
    origin = row["source_key"] or row["key"]
    retrained = [other for other in others if other["source_key"] == origin]
    return Lineage(
        row,
        next((other for other in others if other["key"] == row["source_key"]), None),
        tuple(other for other in retrained if other["phase"] == "confirm"),
        tuple(other for other in retrained if other["phase"] == "transfer"),
        tuple(
            other
            for other in others
            if other["encoder_key"] == row["encoder_key"] != "" and other["key"] != row["key"]
        ),
        sum(other["study"] == row["study"] and other["phase"] == "search" for other in others),
    )


def describe(related: Lineage) -> list[tuple[str, str]]:
    """Return the paragraphs of a lineage: a name and a text, line by line."""
    row = related.row
    return [
        ("row", f"{row['key']}, {row['phase']}, {row['status']}" + _after(": ", row["cause"])),
        ("task", _task(row)),
        ("study", _study(related)),
        ("method", _method(row)),
        ("source", _source(related)),
        ("confirmed", _list(related.confirmations, "by no run yet")),
        *([("transferred", _list(related.transfers, ""))] if related.transfers else []),
        ("encoder", _encoder(related)),
        ("seeds", f"training {row['seed']}, split {row['split_seed']}"),
        ("scores", _scores(row)),
        ("config", _config(row)),
        ("versions", _versions(row)),
        ("cost", _cost(row)),
        ("command", row["command"] or "not recorded"),
    ]


def _is_table(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _task(row: Row) -> str:
    splits = (row["n_train"], row["n_val"], row["n_test"])
    counts = ["not known" if n is None else str(n) for n in splits]
    if row["n_test"] is None:
        counts[2] = "closed"
    classes = ", ".join(
        f"{name} {n} ({group})"
        for name, n, group in zip(
            row["class_names"], row["class_counts"], row["groups"], strict=True
        )
    )
    return (
        f"{task_label(row)}, fingerprint {row['task_fingerprint']}\n"
        f"images: train {counts[0]}, val {counts[1]}, test {counts[2]}\n"
        f"train by class: {classes or 'not known, the trial failed before'}"
    )


def _study(related: Lineage) -> str:
    row = related.row
    default = (
        ", the default config"
        if row["is_default"]
        else _GIVEN.get(row.get("proposed_by") or "", "")
    )
    if row["phase"] not in OF_A_STUDY:
        return f"{row['study']}\nof no study: its config was not tuned on this task{default}"
    return f"{row['study']}\ntrial {row['trial_number']} of {related.n_trials} found here{default}"


def _method(row: Row) -> str:
    versions = json.loads(row["versions_json"])
    stages = (row["representation"], row["calibration"])
    named = [f"{stage} (version {versions.get(stage, 'not known')})" for stage in stages]
    return f"{row['method']}: {named[0]}, then {named[1]}; {row['n_epochs']} epochs of stage 1"


def _source(related: Lineage) -> str:
    key = related.row["source_key"]
    if not key:
        return "none: its config was proposed, not retrained"
    if related.source is None:
        return f"{key}, which is not in this folder"
    score = _percent(related.source["val_balanced_accuracy"])
    elsewhere = related.source["study"] != related.row["study"]
    return f"{key}, search, val balanced accuracy {score}" + (
        f"\nof {related.source['study']}" if elsewhere else ""
    )


def _encoder(related: Lineage) -> str:
    row = related.row
    if not row["encoder_key"]:
        return "not known"
    rank = row["encoder_rank"]
    ranked = "" if rank is None else f", rank {rank} on val in its representation study"
    shared = _list(related.same_encoder, "no other row")
    return f"{row['encoder_key']}{ranked}\nshared with: {shared}"


def _list(rows: tuple[Row, ...], nothing: str) -> str:
    if not rows:
        return nothing
    texts = [
        f"{row['key']} {row['method']}, {row['phase']} #{row['trial_number']}, seed {row['seed']}, "
        f"{row['status']}"
        for row in rows[:_LISTED]
    ]
    return "\n".join(
        [*texts, *([f"and {len(rows) - _LISTED} more"] if len(rows) > _LISTED else [])]
    )


def _scores(row: Row) -> str:
    lines: list[str] = []
    for split in ("val", "test"):
        scores = {
            metric: row[f"{split}_{metric.name}"] for metric in METRICS.values() if metric.on_val
        }
        texts = [
            f"{metric.name.replace('_', ' ')} "
            + (_percent(value) if metric.percent else f"{value:.3f}")
            for metric, value in scores.items()
            if value is not None
        ]
        lines += [f"{split}: {', '.join(texts)}"] if texts else [f"{split}: not measured"]
    return "\n".join(lines)


def _config(row: Row) -> str:
    config: dict[str, Any] = json.loads(row["config_json"])
    sections: dict[str, list[str]] = {}
    for key, value in config.items():
        section, _, name = key.partition(".")
        sections.setdefault(section, []).append(f"{name}={value}")
    return "\n".join(f"{name}: {', '.join(values)}" for name, values in sections.items())


def _versions(row: Row) -> str:
    libraries = json.loads(row["library_versions_json"])
    named = ", ".join(f"{name} {version}" for name, version in libraries.items())
    commit = row["git_commit"] or "not from a checkout"
    return (
        f"lmd-bench {row['package_version']}, commit {commit}, Python {row['python_version']}\n"
        f"{named}"
    )


def _cost(row: Row) -> str:
    memory = row["peak_memory_mib"]
    peak = "" if memory is None else f", at most {memory:.0f} MiB of GPU memory"
    threads = f"{row['n_threads']} thread{'' if row['n_threads'] == 1 else 's'}"
    share = "" if not row["gpu_share"] else f", {row['gpu_share']:g} of a GPU"
    return (
        f"{clock(row['seconds'])} here, {clock(row['standalone_seconds'])} alone; {row['device']}"
        f"{share}, {threads}{peak}{_energy(row)}\n"
        f"from {row['started_at']} to {row['finished_at']}"
    )


def _energy(row: Row) -> str:
    joules, grams = row["energy_joules"], row["co2_grams"]
    if joules is None:
        return ""
    return f", {joules / 3600:.3g} Wh" + ("" if grams is None else f", {grams:.3g} g of CO2")


def _percent(value: float | None) -> str:
    if value is None:
        return "not measured"
    return "undefined" if isnan(value) else f"{100 * value:.1f} %"


def _after(separator: str, text: str) -> str:
    return separator + text if text else ""
