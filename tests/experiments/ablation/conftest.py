"""Hand-made ablations: a document as YAML would give it, records, and scores of cells."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "search"))  # memory_search, drill

import numpy as np  # noqa: E402
import pytest  # noqa: E402

from lmd_bench.experiments.ablation.factorial import full  # noqa: E402
from lmd_bench.experiments.ablation.record import (
    AblationRecord,
    CellRecord,
    PointRecord,
    TaskRecord,
)
from lmd_bench.experiments.ablation.scores import SCORES, CellScores  # noqa: E402
from lmd_bench.leaderboard.studies.predictions import Judged  # noqa: E402


def _record(points, names, words=(), generators=(), resolution=None, mode="full"):
    cells = ["".join("ab"[on] for on in levels) for levels in points]  # "ba": first on, second off
    return AblationRecord(
        name="toy",
        title="Toy",
        mode=mode,
        retune=0,
        reference=cells[0],
        n_epochs=2,
        n_seeds=2,
        seed=0,
        command="lmd-bench ablate toy",
        started_at=0.0,
        toggles=tuple((name, name.upper()) for name in names),
        cells=tuple(CellRecord(cell, f"cell {cell}", "rrl", "icc", {}) for cell in cells),
        points=tuple(PointRecord(p, c) for p, c in zip(points, cells, strict=True)),
        generators=generators,
        words=words,
        resolution=resolution,
        tasks=(TaskRecord("toy task", {cell: f"study-{cell}" for cell in cells}, {}),),
    )


@pytest.fixture
def record():
    """Return a maker of the record of a factorial, the full one of some names by default."""

    def make(names="pqr", plan=None):
        plan = plan or full(len(names))
        return _record(plan.points, names, plan.words, plan.generators, plan.resolution)

    return make


def _scores(cell, by_seed, judged=None, status="ok", cause=""):
    values = {name: dict(enumerate(by_seed)) for name in SCORES}
    return CellScores(cell, status, cause, values, judged, 0, 1, 10.0, 30.0)


@pytest.fixture
def scores():
    """Return a maker of a cell's scores: its record, and the score of each seed."""
    return _scores


@pytest.fixture
def judged():
    """Return a maker of what was right: chances per class and seed, 50 images of each of 2."""

    def make(label, chances, seeds=(0, 1), n=50):
        rng = np.random.default_rng(sum(map(ord, label)))
        labels = np.repeat(np.arange(2), n).astype(np.int64)
        right = np.column_stack([rng.random(2 * n) < np.array(chances)[labels] for _ in seeds])
        ids = tuple(f"i{i:03}" for i in range(2 * n))
        return Judged(label, tuple(seeds), ids, labels, right, ("many", "few"))

    return make
