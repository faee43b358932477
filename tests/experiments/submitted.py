"""A small results folder that fits together: real keys, drawn logits, and metrics that follow."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lmd_bench.core.schema import DataSource, TaskSpec, TrialContext, TrialSpec
from lmd_bench.data.build import prepare_dataset
from lmd_bench.data.tasks.protocols import cut
from lmd_bench.data.tasks.task import build_task
from lmd_bench.methods.catalogue import resolve_method
from lmd_bench.methods.settings import default_config
from lmd_bench.store.rows import make_row
from lmd_bench.store.store import Store, open_store
from lmd_bench.training.measured import metric_columns, task_columns, temperature_columns

TASK = TaskSpec("synthetic", imbalance_factor=20.0, image_size=16)
METHODS = ("crt", "cross_entropy")
TIME = "2026-01-01T00:00:00+00:00"
HOST, COMMAND = "node-7.clinic.example", "lmd-bench search --data-root /secret/images"


@cache
def the_task():
    """Return the task, its images and labels by split, and its table."""
    prepared = prepare_dataset("synthetic", DataSource(), TASK.image_size)
    table = prepared.table
    split = cut(table, TASK, DataSource())
    sets = {
        name: ([table.image_ids[i] for i in of.tolist()], table.labels[of])
        for name, of in (("val", split.val), ("test", split.test))
    }
    return build_task(table, TASK, prepared.fingerprint), sets


def scores_of(splits: tuple[str, ...], seed: int) -> dict[str, Any]:
    """Return drawn ids, labels and logits by split; a third of the images are right."""
    task, sets = the_task()
    generator = np.random.default_rng(seed)
    scores = {}
    for name in splits:
        ids, labels = sets[name]
        z = generator.normal(size=(len(labels), len(task.class_names)))
        z[np.arange(len(labels)), labels] += 1.0
        scores[name] = (tuple(ids), labels, z.astype(np.float32))
    return scores


def measured(scores: dict[str, Any]) -> dict[str, Any]:
    """Return the columns that follow from logits."""
    task, _ = the_task()
    columns = task_columns(task, scores) | temperature_columns(scores, TASK.protocol)
    for split, (_, labels, z) in scores.items():
        columns |= metric_columns(split, labels, z, task)
    return columns


def write_run(store: Store, spec: TrialSpec, seed: int, **context: Any) -> str:
    """Write a run with drawn logits; return its key."""
    splits = ("val",) if spec.phase == "search" else ("val", "test")
    scores = scores_of(splits, seed)
    row = make_row(
        spec,
        TrialContext(Path(), command=COMMAND, **context),
        status="ok",
        seconds=1.0,
        standalone_seconds=1.0,
        started_at=TIME,
        finished_at=TIME,
        host=HOST,
        **measured(scores),
    )
    logits = [
        (image, split, int(label), values.tolist(), None)
        for split, (ids, labels, z) in scores.items()
        for image, label, values in zip(ids, labels, z, strict=True)
    ]
    store.write(row, logits)
    return spec.key


def make_store(root: Path) -> Path:
    """Write two methods: three trials each, the default and the last one confirmed on two seeds."""
    store, (task, _) = open_store(root, create=True), the_task()
    for place, name in enumerate(METHODS):
        method = resolve_method(name)
        default = default_config(method)
        spec = TrialSpec(
            task=TASK,
            task_fingerprint=task.fingerprint,
            method=name,
            representation=method.representation,
            calibration=method.calibration,
            config=default,
            seed=5,
            n_epochs=2,
            study=f"synthetic/{name}",
            versions=method.versions,
        )
        specs = [replace(spec, config={**default, "training.lr": 0.01 * (n + 1)}) for n in range(3)]
        for number, trial in enumerate(specs):
            draw = 10 * place + number
            key = write_run(
                store, trial, draw, trial_number=number, is_default=number == 0, n_threads=1
            )
        best = max(store.rows(spec.study), key=lambda row: row["val_balanced_accuracy"] or 0.0)
        chosen = {0, best["trial_number"] or 1}
        for number in chosen:
            key = specs[number].key
            for seed in (1, 2):
                run = replace(specs[number], phase="confirm", seed=seed)
                draw = 100 * place + 10 * number + seed + 50
                write_run(
                    store,
                    run,
                    draw,
                    trial_number=number,
                    is_default=number == 0,
                    source_key=key,
                )
    return root
