"""Hand-made rows: a study is a list of val scores and the test scores of its confirmation."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from lmd_bench.core.schema import TaskSpec, TrialContext, TrialSpec
from lmd_bench.store.rows import make_row

Row = dict[str, Any]
TASK = TaskSpec(dataset="toy", imbalance_factor=100.0, image_size=32)
NO_TASK = {"class_names": [], "class_counts": [], "groups": []}


def _row(
    method: str,
    *,
    number: int = 0,
    seed: int = 0,
    source: Row | None = None,
    task: TaskSpec = TASK,
    n_epochs: int = 8,
    status: str = "ok",
    **measured: Any,
) -> Row:
    """Return one row; number 0 is the default configuration, `source` makes it a confirmation."""
    phase = "search" if source is None else "confirm"
    study = f"{task.dataset}-{task.imbalance_factor}/{method}/{n_epochs}"
    spec = TrialSpec(
        task=task,
        task_fingerprint=f"0123456789-{task.imbalance_factor}",
        method=method,
        representation="cross_entropy",
        calibration="none",
        config={"training.lr": 0.1 * (number + 1)},
        seed=seed,
        n_epochs=n_epochs,
        phase=phase,
        study=study,
    )
    context = TrialContext(
        results=Path("unused"),
        trial_number=number,
        is_default=number == 0,
        source_key=source["key"] if source else "",
    )
    columns: Row = {"status": status, "seconds": 10.0, "standalone_seconds": 30.0}
    columns |= {"started_at": "2025-01-01T00:00:00+00:00"}
    columns |= {"finished_at": "2025-01-01T00:00:10+00:00"}
    if status == "ok":
        columns |= {"class_names": ["a", "b", "c", "d"], "class_counts": [100, 20, 5, 1]}
        columns["groups"] = ["many", "many", "medium", "few"]
    return make_row(spec, context, **columns, **measured)


@pytest.fixture
def row() -> Callable[..., Row]:
    return _row


@pytest.fixture
def study() -> Callable[..., list[Row]]:
    """Return a function that makes the rows of one study.

    Its arguments are the val score of each trial (None: the trial failed), and the number of a
    trial -> the test score of each of its confirmation seeds.
    """

    def make(
        method: str,
        val: Sequence[float | None],
        test: dict[int, Sequence[float | None]] | None = None,
        **options: Any,
    ) -> list[Row]:
        trials = [_trial(method, number, score, options) for number, score in enumerate(val)]
        return trials + [
            _confirmation(trials[number], number, seed, score, options)
            for number, scores in (test or {}).items()
            for seed, score in enumerate(scores)
        ]

    return make


def _trial(method: str, number: int, score: float | None, options: Row) -> Row:
    if score is None:
        return _row(method, number=number, status="diverged", cause="loss nan", **options)
    return _row(method, number=number, val_balanced_accuracy=score, **options)


def _confirmation(source: Row, number: int, seed: int, score: float | None, options: Row) -> Row:
    place = {"number": number, "seed": 1000 + seed, "source": source, **options}
    if score is None:
        return _row(source["method"], status="oom", cause="out of memory", **place)
    names = ("balanced_accuracy", "macro_f1", "many_recall", "medium_recall", "few_recall")
    shifts = (0.0, -0.05, 0.2, 0.0, -0.2)
    scores = {f"test_{name}": score + shift for name, shift in zip(names, shifts, strict=True)}
    return _row(source["method"], **scores, **place)
