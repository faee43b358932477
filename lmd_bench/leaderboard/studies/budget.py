"""A budget of a study, and the part of its trials that it would have paid for.

Trials count in the order of their numbers, failed ones too. A method of two stages has paid for all
of the search of its stage 1 before its own first trial: which encoders are the best is not known
earlier. Hours are those of `standalone_seconds`, so that no method is cheaper because another
trained its encoders first; after a search of stage 1 that is paid for, a trial costs what it took.
The confirmation is not part of the budget. A race is one of all trials: where a trial beyond the
budget has won it, it says nothing of those within.
"""

import re
from dataclasses import dataclass, replace
from math import isnan, nan
from typing import Literal

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import Row
from lmd_bench.leaderboard.studies.group import StudyRows
from lmd_bench.leaderboard.studies.rules import race_winner

Unit = Literal["trials", "hours", "gpu_hours", "watt_hours"]
_UNITS: dict[str, tuple[Unit, float]] = {
    "": ("trials", 1.0),
    "h": ("hours", 1.0),
    "gpuh": ("gpu_hours", 1.0),
    "wh": ("watt_hours", 1.0),
    "kwh": ("watt_hours", 1e3),
}
_SHORT: dict[Unit, str] = {"hours": "h", "gpu_hours": "GPU-h", "watt_hours": "Wh"}


@dataclass(frozen=True)
class Budget:
    """How much the search of one study may cost."""

    amount: float
    unit: Unit

    @property
    def description(self) -> str:
        """Return it in words."""
        what = {
            "trials": "trials of each method, those of the search of its stage 1 first",
            "hours": "hours of trials of each method, with the search of its stage 1",
            "gpu_hours": "GPU-hours of trials of each method, with the search of its stage 1",
            "watt_hours": "Wh that trials of each method took, with the search of its stage 1",
        }
        return f"the first {self.amount:g} {what[self.unit]}"


def parse_budget(text: str) -> Budget:
    """Return the budget that `10` (trials), `4h`, `4gpuh` or `2kwh` names.

    Raises:
        UserError: something else, or nothing to spend.
    """
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*(h|gpuh|k?wh|)", text.strip().lower())
    unit, times = _UNITS[match[2]] if match else ("trials", 1.0)
    amount = times * float(match[1]) if match else 0.0
    if amount <= 0 or (unit == "trials" and amount != int(amount)):
        raise UserError(
            f"'{text}' is no budget; give trials like 10, hours like 4h, GPU-hours like 4gpuh, or "
            "energy like 500wh or 2kwh."
        )
    return Budget(amount, unit)


def costs_of(study: StudyRows, unit: Unit) -> tuple[float, list[float]]:
    """Return what the search of stage 1 costs, 0 where there is none, and what each trial does.

    Energy that one trial does not tell is told of none: all is 0.
    """
    own = "seconds" if study.stage1_trials else "standalone_seconds"
    before = sum((_cost(row, unit, "standalone_seconds") for row in study.stage1_trials), 0.0)
    costs = [_cost(row, unit, own) for row in study.trials]
    return (0.0, [0.0] * len(costs)) if isnan(before + sum(costs)) else (before, costs)


def _cost(trial: Row, unit: Unit, seconds: str) -> float:
    if unit == "trials":
        return 1.0
    if unit == "watt_hours":
        # What shared encoders took is not in a row; it is charged at the power of the trial.
        joules, part = trial.get("energy_joules"), trial[seconds] / max(trial["seconds"], 1e-9)
        return nan if joules is None else joules * part / 3600
    hours = trial[seconds] / 3600
    return hours if unit == "hours" else hours * trial["gpu_share"]


def within(study: StudyRows, budget: Budget) -> tuple[StudyRows, list[str]]:
    """Return the study with the trials that end within the budget, and notes on what it lacks.

    Raises:
        UserError: GPU-hours were asked for, and the study used no GPU; or energy that it lacks.
    """
    trials = study.trials
    name = f"{study.method} on {study.task}"
    before, costs = costs_of(study, budget.unit)
    if trials and not any(costs) and budget.unit == "watt_hours":
        raise UserError(
            f"Not every trial of {name} tells the energy that it took (energy_joules); give hours, "
            "like 4h."
        )
    if trials and not any(costs):
        raise UserError(
            f"No trial of {name} used a GPU, so GPU-hours say nothing of it; give hours, like 4h."
        )
    kept: set[str] = set()
    spent = before
    for row, price in zip(trials, costs, strict=True):
        spent += price
        if spent > budget.amount * (1 + 1e-9):
            break
        kept.add(row["key"])
    notes = _notes(name, study, len(kept), spent, budget)
    winner = race_winner(study.rows)
    raced = kept if winner is None or winner["key"] in kept else set[str]()
    if winner is not None and kept and not raced:
        notes.append(f"a trial beyond the budget won its race, which does not count: {name}")
    part = tuple(
        row
        for row in study.rows
        if row["phase"] == "confirm" or row["key"] in kept or row["source_key"] in raced
    )
    return replace(study, rows=part), notes


def _notes(name: str, study: StudyRows, n_kept: int, spent: float, budget: Budget) -> list[str]:
    n_trials, n_before = len(study.trials), len(study.stage1_trials)
    if n_trials == 0 or n_kept < n_trials:
        return []
    if spent < budget.amount * (1 - 1e-9) and budget.unit == "trials":
        trials = f"{n_trials} trial{'' if n_trials == 1 else 's'}"
        trials = f"{n_before} + {trials}" if n_before else trials
        return [f"ran less than the budget, {trials}: {name}"]
    if spent < 0.9 * budget.amount:
        unit = _SHORT[budget.unit]
        return [f"ran less than the budget, {spent:.2g} of {budget.amount:g} {unit}: {name}"]
    return []
