"""Every metric of a confirmed run on test, by name: from its row, and else from its logits.

Rows of earlier versions hold some metrics alone; the others are computed from stored logits. What
is undefined is NaN, and so is what nothing was stored of: neither is ever 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

from lmd_bench.core.errors import unknown
from lmd_bench.core.schema import Row
from lmd_bench.stats.metrics import BESIDE, METRICS
from lmd_bench.stats.spread import Spread, spread
from lmd_bench.store.from_logits import scores_on_test
from lmd_bench.store.metrics import known_metrics
from lmd_bench.store.store import Store

STORED = tuple(name for name, metric in METRICS.items() if metric.on_val)  # all rows of test have
COMPUTED = tuple(name for name in METRICS if name not in STORED)  # rows may lack these
ALL = "all"


@dataclass(frozen=True)
class MetricSpread:
    """A metric over retraining seeds, and in how many of them it has no value."""

    spread: Spread  # mean and SD are NaN where any seed has no value
    n_undefined: int


def parse_metrics(text: str) -> tuple[str, ...]:
    """Return the metrics that `all` or names between commas ask for, each once.

    A calibration error comes with what it would be by chance.

    Raises:
        UserError: no such metric.
    """
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    known = tuple(known_metrics())
    if names == (ALL,):
        return known
    for name in names or ("",):
        if name not in known:
            raise unknown("metric", name, (*known, ALL))
    beside = [(name, BESIDE[name]) if name in BESIDE else (name,) for name in names]
    return tuple(dict.fromkeys(name for group in beside for name in group))


def metric_spreads(
    runs: Sequence[Row], names: Sequence[str], store: Store | None
) -> dict[str, MetricSpread]:
    """Return mean, SD (n - 1), count and number of undefined values of metrics over runs."""
    scores = [scores_on_test(run, names, store) for run in runs]
    return {
        name: MetricSpread(
            spread([of_run[name] for of_run in scores]),
            sum(isnan(of_run[name]) for of_run in scores),
        )
        for name in names
    }
