"""A results folder with all that a report may meet: names that are markup, failures, gaps."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmd_bench.core.schema import TaskSpec, TrialContext, TrialSpec
from lmd_bench.leaderboard.studies.rules import VAL_BALANCED_ACCURACY
from lmd_bench.report.context import Context, read_context
from lmd_bench.stats.metrics import evaluate, per_class_recall
from lmd_bench.store.rows import Row, make_row
from lmd_bench.store.store import LogitRow, Store, open_store

SCRIPT = "<script>alert(1)</script>"  # a method, and a class
CLASSES = ["nv", "mel", SCRIPT]
GROUPS = ["many", "medium", "few"]
LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2])
TIME = "2026-01-01T00:00:00+00:00"


def make_trial(
    method: str, number: int, val: float | None, factor: float = 100.0, source: Row | None = None
) -> Row:
    """Return a search row, or with `source` a confirmation of it with seed `number`."""
    config = {"training.lr": 0.01 * (number + 1), "training.augmentation": "strong"}
    spec = TrialSpec(
        task=TaskSpec("toy", imbalance_factor=factor, image_size=32),
        task_fingerprint=f"{int(factor):020d}",
        method=method,
        representation="cross_entropy",
        calibration="none",
        config=json.loads(source["config_json"]) if source else config,
        seed=number if source else 7,
        n_epochs=2,
        phase="confirm" if source else "search",
        study=f"toy-{factor:g}/{method}",
    )
    context = TrialContext(
        Path(),
        trial_number=source["trial_number"] if source else number,
        is_default=number == 0,
        source_key=source["key"] if source else "",
        command="lmd-bench search --dataset toy",
    )
    measured: Row = {"seconds": 60.0, "standalone_seconds": 90.0, "curve": []}
    measured |= {"started_at": TIME, "finished_at": TIME, "class_names": CLASSES}
    measured |= {"class_counts": [int(10 * factor), 50, 10], "groups": GROUPS}
    if val is None:
        return make_row(spec, context, status="diverged", cause=f"loss {SCRIPT}", **measured)
    return make_row(spec, context, status="ok", val_balanced_accuracy=val, **measured)


def confirm(store: Store, source: Row, seed: int, wrong: int, *, logits: bool = True) -> None:
    """Write a confirmation that takes the first `wrong` test images for the next class."""
    factor = source["imbalance_factor"]
    row = make_trial(source["method"], seed, 0.5, factor, source)
    z = np.zeros((len(LABELS), len(CLASSES)), dtype=np.float32)
    taken = np.where(np.arange(len(LABELS)) < wrong, (LABELS + 1) % 3, LABELS)
    z[np.arange(len(LABELS)), taken] = 2.0
    row |= {f"test_{name}": value for name, value in evaluate(LABELS, z, tuple(GROUPS)).items()}
    row |= {"test_recall": per_class_recall(LABELS, z).tolist(), "n_test": len(LABELS)}
    images: list[LogitRow] = [
        (f"image{i}", "test", int(label), z[i].tolist()) for i, label in enumerate(LABELS)
    ]
    store.write(row, images if logits else ())


def make_results(root: Path) -> Path:
    """Write two tasks; on the first, a method of 24 trials and one whose best nobody confirmed."""
    store = open_store(root, create=True)
    for factor in (100.0, 10.0):
        trials = [make_trial("crt", n, 0.4 + 0.01 * n, factor) for n in range(24)]
        trials += [make_trial("crt", 24, None, factor)]
        odd = [make_trial(SCRIPT, n, 0.3 + 0.1 * n, factor) for n in range(2)]
        for row in (*trials, *odd):
            store.write(row)
        for seed in (1, 2):
            confirm(store, trials[23], seed, wrong=seed)
            confirm(store, trials[0], seed, wrong=5)
            confirm(store, odd[0 if factor == 100.0 else 1], seed, wrong=4, logits=seed == 1)
    return root


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_results(tmp_path_factory.mktemp("report") / "a folder")


@pytest.fixture(scope="session")
def context(results: Path) -> Context:
    return read_context(results, VAL_BALANCED_ACCURACY)


def tables(block: Any) -> list[Any]:
    """Return the tables of a block."""
    if block.kind == "listing":
        return [block.table]
    return [*block.maps, *block.numbers] if block.kind == "figure" else []
