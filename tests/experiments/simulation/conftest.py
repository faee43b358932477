"""Tables made by hand: scores, curves and costs that one can follow."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from optuna.distributions import FloatDistribution

from lmd_bench.experiments.simulation.table import StoredTrial, StudyTable

X = "training.lr"
SPACE = {X: FloatDistribution(0.0, 1.0)}


def _table(
    values: Sequence[float | None],
    curves: Sequence[Sequence[float]] | None = None,
    deferral: float = 0.0,
    seconds: Sequence[float] | None = None,
    default: int | None = 0,
    n_epochs: int = 10,
    **fields: Any,
) -> StudyTable:
    """Return a table whose trial i lies at i / n, scores values[i] and costs 100 s."""
    n = len(values)
    trials = tuple(
        StoredTrial(
            key=f"k{number}",
            number=number,
            status="diverged" if value is None else "ok",
            is_default=number == default,
            config={X: number / n},
            encoder=f"e{number}",
            encoder_rank=None,
            encoder_score=value,
            curve=tuple(curves[number]) if curves else (),
            value=value,
            seconds=seconds[number] if seconds else 100.0,
            alone_seconds=seconds[number] if seconds else 100.0,
            deferral=deferral,
            test=None,
            n_confirmed=0,
        )
        for number, value in enumerate(values)
    )
    known: dict[str, Any] = {"study": "s", "task": "t", "dataset": "toy", "method": "m"}
    known |= {"representation": "cross_entropy", "calibration": "none", "staged": False}
    return StudyTable(**known | fields, n_epochs=n_epochs, space=SPACE, trials=trials)


@pytest.fixture
def table() -> Callable[..., StudyTable]:
    return _table
