"""The best of a study so far, against trials and against hours, had its trials come in any order.

Against trials everything is exact: the best of n of N trials drawn without replacement is the r-th
best with the chance that the r - 1 better ones are not among them (hypergeometric). Against hours
random orders are drawn. Failed trials use up budget and are never best. The band says how much
luck the order holds; it says nothing of trials that were never run, and it takes them as
exchangeable, which those of a learning sampler are not quite.

Paper: Dodge, Gururangan, Card, Schwartz and Smith, Show Your Work, EMNLP 2019, section 3.1; drawn
without replacement here, as no search runs a trial twice. URL: https://arxiv.org/abs/1909.03004
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lmd_bench.core.schema import Row
from lmd_bench.core.seeding import derive_seed
from lmd_bench.leaderboard.studies.budget import Unit, cost
from lmd_bench.leaderboard.studies.group import StudyRows
from lmd_bench.leaderboard.studies.rules import SelectionRule, score
from lmd_bench.stats.best_so_far import best_of_hours, best_of_trials


def curve_frame(
    studies: Sequence[StudyRows], rule: SelectionRule, unit: Unit = "trials"
) -> pd.DataFrame:
    """Return the curves of studies, one line per point: task, label, spent, mean, low, high, found.

    A study without trials, or without cost in the unit (GPU-hours on a CPU), has no lines.
    """
    parts: list[pd.DataFrame] = []
    for study in studies:
        values = [_value(study, row, rule) for row in study.trials]
        costs = [cost(row, unit) for row in study.trials]
        if not any(costs):
            continue
        generator = np.random.default_rng(derive_seed(0, "curve", study.task, study.label))
        found = (
            best_of_trials(values) if unit == "trials" else best_of_hours(values, costs, generator)
        )
        columns = {"task": study.task, "label": study.label, "unit": unit, **vars(found)}
        parts.append(pd.DataFrame(columns))
    names = ["task", "label", "unit", "spent", "mean", "low", "high", "found"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=pd.Index(names))


def _value(study: StudyRows, row: Row, rule: SelectionRule) -> float:
    value = score(row, rule, study.runs(row))
    return float("nan") if value is None else value
