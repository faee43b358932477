"""Runs the trial of a row again, from nothing, and says whether the same came out.

The trial is rebuilt from the row alone, and its key must come out as the row's. It runs in a folder
of its own, with an encoder of its own; the row's results folder is only read.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path

from lmd_bench.core import plugins
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import (
    JUDGED_ON_TEST,
    PIPELINE_VERSION,
    DataSource,
    OnEpoch,
    Row,
    TrialSpec,
    no_report,
)
from lmd_bench.data.build import OnImages, check_tasks
from lmd_bench.methods.catalogue import method_of
from lmd_bench.methods.settings import check_value, default_config, section_config
from lmd_bench.stats.metrics import METRICS
from lmd_bench.stats.spread import spread
from lmd_bench.store.differences import (
    differences,
    logit_differences,
    provenance_differences,
    text_of,
    unmeasured,
)
from lmd_bench.store.hiding import are_hidden, hidden_ids
from lmd_bench.store.reproductions import Record, Verdict, logits_hash, row_hash
from lmd_bench.store.rows import context_of, spec_of
from lmd_bench.store.store import SplitLogits, Store, open_store

_JUDGED = tuple(
    f"{split}_{name}"
    for split in ("val", "test")
    for name, metric in METRICS.items()
    if metric.headline
)


@dataclass(frozen=True)
class Reproduction:
    """What came of running a trial again."""

    verdict: Verdict
    outcome: tuple[str, ...]  # what came out otherwise
    spread: tuple[str, ...]  # how large the differences are beside the spread over seeds
    provenance: tuple[str, ...]  # what it was made with otherwise
    not_compared: tuple[str, ...] = ()  # columns that the row lacks
    record: Record | None = None  # with hashes of both; None where nothing was run


def reproduce(
    store: Store,
    row: Row,
    source: DataSource,
    on_epoch: OnEpoch = no_report,
    on_images: OnImages | None = None,
) -> Reproduction:
    """Run the trial of a row again and compare what it gives.

    Args:
        store: Where the row is; its logits and the other seeds of its config are compared with.
        row: Of a trial that ran to its end, well or not.
        source: Where the data lie on this machine.
        on_epoch: Is told of each epoch of the new run.
        on_images: Called as images are decoded.

    Raises:
        UserError: a row whose process died, or that an older pipeline made; data that are not
            here; or a config that this version does not know.
    """
    if row["status"] == "lost":
        raise UserError(
            f"The trial {row['key']} has no outcome to repeat: its process died ({row['cause']}); "
            "name another row."
        )
    spec = spec_of(row)
    _check_pipeline(row, spec)
    plugins.check_versions(spec.versions)
    altered = _altered(row, spec)
    if altered:
        return Reproduction("different", (altered,), (), tuple(_other_plugins(spec)))
    check_tasks([(spec.task, spec.task_fingerprint)], source, on_images)
    _check_config(spec)
    with tempfile.TemporaryDirectory(prefix="lmd-bench-reproduce-") as folder:
        again = _run(spec, row, Path(folder), source, on_epoch)
        logits = open_store(Path(folder)).read_logits(row["key"])
    stored = store.read_logits(row["key"])
    logits = _named_alike(stored, logits, row["task_fingerprint"])
    outcome = [*differences(row, again), *logit_differences(stored, logits)]
    provenance = (*_other_plugins(spec), *provenance_differences(row, again))
    verdict: Verdict = "bit-equal"
    sentences: list[str] = []
    if outcome:
        seeds = [other for other in store.rows(row["study"]) if _is_seed_of(other, row)]
        within, sentences = within_spread(row, again, seeds)
        verdict = "within seed spread" if within else "different"
    record = Record(
        key=row["key"],
        verdict=verdict,
        row_sha256=row_hash(row),
        logits_sha256=logits_hash(stored, row["task_fingerprint"]),
        again_row_sha256=row_hash(again),
        again_logits_sha256=logits_hash(logits, row["task_fingerprint"]),
        # What a failure says may name files of this machine.
        outcome=tuple(sentence for sentence in outcome if not sentence.startswith("cause:")),
        provenance=provenance,
        **{
            name: again[name] for name in ("device", "package_version", "git_commit", "finished_at")
        },
    )
    lacking = tuple(unmeasured(row, again))
    return Reproduction(verdict, tuple(outcome), tuple(sentences), provenance, lacking, record)


def within_spread(row: Row, again: Row, seeds: Sequence[Row]) -> tuple[bool, list[str]]:
    """Say whether each score moved by no more than one standard deviation over seeds.

    Args:
        row: As it was.
        again: As it came out now.
        seeds: The runs of the same config with other seeds (and the row, if it is one of them).

    Returns:
        True where balanced accuracy and macro-F1 of each split that was judged all did, which two
        runs with seeds of their own do about every second time; and a sentence on each. Below two
        seeds there is no spread, so nothing lies within it.
    """
    if row["status"] != "ok" or again["status"] != "ok":
        return False, []
    inside: list[bool] = []
    sentences: list[str] = []
    for name in _JUDGED:
        if row[name] is None or again[name] is None:
            continue
        of_seeds = spread([seed[name] for seed in seeds if seed[name] is not None])
        moved = abs(again[name] - row[name])
        # An SD that is undefined is NaN, and no difference lies within it.
        inside.append(moved <= of_seeds.sd)
        sd = "not known" if isnan(of_seeds.sd) else f"{of_seeds.sd:.4f}"
        sentences.append(f"{name} moved by {moved:.4f}, SD over {of_seeds.n} seeds {sd}")
    return bool(inside) and all(inside), sentences


def _named_alike(
    stored: Mapping[str, SplitLogits], again: Mapping[str, SplitLogits], fingerprint: str
) -> dict[str, SplitLogits]:
    """Return the new logits under hidden ids where the stored ones of a split have such."""
    return {
        split: (hidden_ids(ids, fingerprint), labels, matrix)
        if split in stored and are_hidden(stored[split][0])
        else (ids, labels, matrix)
        for split, (ids, labels, matrix) in again.items()
    }


def _is_seed_of(other: Row, row: Row) -> bool:
    origin = row["source_key"] or row["key"]
    retrained = other["phase"] in JUDGED_ON_TEST and other["source_key"] == origin
    return retrained and other["status"] == "ok"


def _check_pipeline(row: Row, spec: TrialSpec) -> None:
    # A row does not say which pipeline made it, but its key follows from that version alone.
    for pipeline in range(1, PIPELINE_VERSION):
        if spec.key_under(pipeline) == row["key"]:
            commit = row["git_commit"]
            origin = f"commit {commit}" if commit else f"lmd-bench {row['package_version']}"
            raise UserError(
                f"The row {row['key']} was made by version {pipeline} of the training pipeline, "
                f"and this is version {PIPELINE_VERSION}; {origin} makes it again."
            )


def _altered(row: Row, spec: TrialSpec) -> str:
    """Return why a row is not what its key names; "" where it is."""
    if spec.key == row["key"]:
        return ""
    return (
        f"key: the row's data give {spec.key}; it was altered since lmd-bench "
        f"{row['package_version']}, commit {text_of(row['git_commit'])}, wrote it, and was not run"
    )


def _other_plugins(spec: TrialSpec) -> list[str]:
    return [
        f"version of {name}: {text_of(spec.versions.get(name))} there, {version} here"
        for name, version in method_of(spec).versions.items()
        if spec.versions.get(name) != version
    ]


def _check_config(spec: TrialSpec) -> None:
    settings = default_config(method_of(spec))
    for key, value in spec.config.items():
        check_value(key, value, settings)
    for section in ("training", spec.representation, spec.calibration):
        section_config(section, spec.config)


def _run(spec: TrialSpec, row: Row, results: Path, source: DataSource, on_epoch: OnEpoch) -> Row:
    from lmd_bench.training.trial import execute_trial

    return execute_trial(spec, context_of(row, results, source), on_epoch)
