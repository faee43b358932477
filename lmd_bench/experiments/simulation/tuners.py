"""Samplers and pruners compared: what each would have found in a table, over repeated replays."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil, isnan

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from lmd_bench.core.seeding import derive_seed
from lmd_bench.experiments.simulation.proposing import RANDOM
from lmd_bench.experiments.simulation.replay import OnStep, Replay, Setting, no_step, replay
from lmd_bench.experiments.simulation.table import StudyTable
from lmd_bench.search.proposing.pruning import NONE
from lmd_bench.search.proposing.samplers import draws_at_random
from lmd_bench.stats.proportions import LEVEL

OVER = "over repeats of the replay on one table, not over new trainings"
COLUMNS = (
    *("task", "method", "study", "sampler", "pruner", "workers", "repeats", "table", "trials"),
    *("best_val", "best_val_low", "best_val_high", "regret", "found_best", "found_nothing"),
    *("hours", "pruned", "test", "test_unknown", "distance", "exhausted"),
)


@dataclass(frozen=True)
class Replays:
    """What is replayed, how often."""

    samplers: tuple[str, ...]
    pruners: tuple[str, ...]
    budget: Setting  # its sampler and pruner are not looked at
    repeats: int
    seed: int = 0

    def setting(self, table: StudyTable, sampler: str, pruner: str) -> Setting:
        """Return one search on a table: by default, of half of its trials."""
        budget = self.budget
        n_trials = budget.n_trials
        if n_trials is None and budget.hours is None:
            n_trials = ceil(len(table.trials) / 2)
        return replace(budget, sampler=sampler, pruner=pruner, n_trials=n_trials)

    def alike(self, table: StudyTable) -> tuple[str, ...]:
        """Return the samplers that all do the same on a table: they draw all trials at random."""
        budget = self.setting(table, "", NONE).n_trials
        most = len(table.trials)
        return tuple(name for name in self.samplers if draws_at_random(name, budget, most))

    def samplers_of(self, table: StudyTable) -> tuple[str, ...]:
        """Return the samplers that differ on a table; of those that are alike, the simplest."""
        alike = self.alike(table)
        kept = RANDOM if RANDOM in alike else next(iter(alike), "")
        return tuple(name for name in self.samplers if name not in alike or name == kept)

    def pruners_of(self, table: StudyTable) -> tuple[str, ...]:
        """Return the pruners that can do something on a table: a calibration has no stage 1."""
        return (NONE,) if table.staged else self.pruners


def replays(table: StudyTable, setting: Setting, repeats: int, seed: int) -> list[Replay]:
    """Return repeated replays; repeat i of every setting starts from the same seed."""
    return [
        replay(table, setting, derive_seed(seed, "replay", table.study, repeat))
        for repeat in range(repeats)
    ]


def tuner_frame(
    tables: Iterable[StudyTable],
    asked: Replays,
    on_step: OnStep = no_step,
) -> pd.DataFrame:
    """Return a line for each study, sampler and pruner; of samplers that are alike, for one.

    Means are over the repeats that found something; the interval is Student's, of the mean over
    repeats. `test` is the mean over the repeats whose selected config was confirmed, and
    `test_unknown` counts the others.

    Args:
        tables: Of studies that can be replayed.
        asked: What is replayed.
        on_step: Is told of each line that is begun.
    """
    lines: list[dict[str, object]] = []
    for table in tables:
        for sampler in asked.samplers_of(table):
            for pruner in asked.pruners_of(table):
                on_step(f"{table.method}: {sampler}, {pruner}")
                setting = asked.setting(table, sampler, pruner)
                runs = replays(table, setting, asked.repeats, asked.seed)
                lines.append(_line(table, setting, runs))
    return pd.DataFrame(lines, columns=pd.Index(COLUMNS))


def mean_interval(values: Sequence[float], level: float = LEVEL) -> tuple[float, float, float]:
    """Return the mean of the values that are numbers, and the bounds of its t interval.

    The bounds are NaN below two values.
    """
    defined = np.array([value for value in values if not isnan(value)])
    if len(defined) < 2:
        return (float(defined[0]) if len(defined) else float("nan")), float("nan"), float("nan")
    half = float(stdtrit(len(defined) - 1, 0.5 + level / 2))
    half *= float(np.std(defined, ddof=1) / np.sqrt(len(defined)))
    mean = float(np.mean(defined))
    return mean, mean - half, mean + half


def mean_of(values: Iterable[float | None]) -> float:
    """Return the mean of the values that are known; NaN of none."""
    defined = [value for value in values if value is not None and not isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")


def _line(table: StudyTable, setting: Setting, runs: Sequence[Replay]) -> dict[str, object]:
    best = [run.best for run in runs]
    mean, low, high = mean_interval(best)
    selected = [run.selected for run in runs]
    tests = [None if trial is None else trial.test for trial in selected]
    return {
        "task": table.task,
        "method": table.method,
        "study": table.study,
        "sampler": setting.sampler,
        "pruner": setting.pruner,
        "workers": setting.n_workers,
        "repeats": len(runs),
        "table": len(table.trials),
        "trials": mean_of(len(run.ran) for run in runs),
        "best_val": mean,
        "best_val_low": low,
        "best_val_high": high,
        "regret": table.best - mean,
        "found_best": sum(value == table.best for value in best) / len(runs),
        "found_nothing": sum(trial is None for trial in selected),
        "hours": mean_of(run.seconds / 3600 for run in runs),
        "pruned": mean_of(run.n_pruned for run in runs),
        "test": mean_of(tests),
        "test_unknown": sum(t is not None and t.test is None for t in selected),
        "distance": mean_of(run.distance for run in runs),
        "exhausted": sum(run.exhausted for run in runs),
    }
