"""What each pruner would have done to the trials of a study, in random orders of them.

A pruner that ends the study's best trial, or one of its best three, has wrongly killed it: its
stored curve went on, and shows so. What matters for methods that begin late, such as re-weighting
in the last epochs, is whether their deferral point is respected.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pandas as pd

from lmd_bench.experiments.simulation.proposing import RANDOM
from lmd_bench.experiments.simulation.replay import OnStep, Replay, Setting, no_step
from lmd_bench.experiments.simulation.table import StoredTrial, StudyTable
from lmd_bench.experiments.simulation.tuners import mean_of, replays
from lmd_bench.search.proposing.pruning import NONE

N_TOP = 3
FLAGGED = 0.1  # share of orders in which a study's best is ended, above which it is named
COLUMNS = (
    *("task", "method", "study", "pruner", "deferral_respected", "deferral", "workers"),
    *("repeats", "trials", "ended", "best_ended", "top3_ended", "hours", "hours_saved"),
    "flagged",
)


def pruner_frame(
    tables: Iterable[StudyTable],
    pruners: Sequence[str],
    repeats: int,
    seed: int,
    n_workers: int = 1,
    ignore_deferral: bool = False,
    grace_period: int = 1,
    on_step: OnStep = no_step,
) -> pd.DataFrame:
    """Return a line for each study that trains stage 1, and each pruner.

    `ended` is the mean number of trials that the pruner ended, `best_ended` and `top3_ended` the
    shares of orders in which the best trial, or any of the best three, was among them (NaN where
    three are half of all that ended well, or more);
    `hours_saved` is on the simulated clock, and in a joint study the least that was saved, since
    rows do not say which part of its cost was stage 1.

    Args:
        tables: Of studies that can be replayed.
        pruners: Their names; `none` is left out.
        repeats: Random orders of all trials.
        seed: Of the orders.
        n_workers: Trials at once.
        ignore_deferral: Add lines, for methods that have a deferral point, in which trials may be
            judged from their first epoch.
        grace_period: Epochs that a trial has before a pruner may end it.
        on_step: Is told of each line that is begun.
    """
    whole_setting = Setting(RANDOM, grace_period=grace_period, n_workers=n_workers)
    lines: list[dict[str, object]] = []
    for table in tables:
        names = [] if table.staged else [name for name in pruners if name != NONE]
        if not names:
            continue
        deferred = any(trial.deferral > 0 for trial in table.trials)
        on_step(f"{table.method}: no pruner")
        whole = replays(table, whole_setting, repeats, seed)
        hours = mean_of(run.seconds / 3600 for run in whole)
        for name in names:
            for respects in (True, False) if ignore_deferral and deferred else (True,):
                on_step(f"{table.method}: {name}")
                setting = replace(whole_setting, pruner=name, respects_deferral=respects)
                runs = replays(table, setting, repeats, seed)
                lines.append(_line(table, setting, runs, hours))
    return pd.DataFrame(lines, columns=pd.Index(COLUMNS))


def top_trials(table: StudyTable, n: int = N_TOP) -> list[StoredTrial]:
    """Return the best trials on val, of equals the earlier; fewer where fewer ended well."""
    ended = [trial for trial in table.trials if trial.value is not None]
    return sorted(ended, key=_place)[:n]


def _place(trial: StoredTrial) -> tuple[float, int]:
    assert trial.value is not None, "only trials that ended well are ranked"
    return -trial.value, trial.number


def _line(
    table: StudyTable, setting: Setting, runs: Sequence[Replay], hours: float
) -> dict[str, object]:
    top = [trial.key for trial in top_trials(table)]
    ended = [{ran.trial.key for ran in run.ran if ran.pruned} for run in runs]
    best_ended = sum(top[0] in keys for keys in ended) / len(runs)
    any_ended = sum(bool(keys & set(top)) for keys in ended) / len(runs)
    spent = mean_of(run.seconds / 3600 for run in runs)
    return {
        "task": table.task,
        "method": table.method,
        "study": table.study,
        "pruner": setting.pruner,
        "deferral_respected": setting.respects_deferral,
        "deferral": max(trial.deferral for trial in table.trials),
        "workers": setting.n_workers,
        "repeats": len(runs),
        "trials": len(table.trials),
        "ended": mean_of(len(keys) for keys in ended),
        "best_ended": best_ended,
        "top3_ended": any_ended if table.n_ok > 2 * N_TOP else float("nan"),
        "hours": spent,
        "hours_saved": hours - spent,
        "flagged": best_ended > FLAGGED,
    }
