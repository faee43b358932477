"""`lmd-bench tuning`: what more trials bring, what tuning gains, what explains the variance."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lmd_bench.core.errors import UserError
from lmd_bench.leaderboard.curves import curve_frame
from lmd_bench.leaderboard.studies.budget import Unit
from lmd_bench.leaderboard.studies.group import StudyRows, by_task
from lmd_bench.leaderboard.studies.rules import SelectionRule
from lmd_bench.leaderboard.tables.text import bounds, percent, text_table
from lmd_bench.leaderboard.variance import FACTORS, TuningGain, explained, tuning_gain
from lmd_bench.stats.intervals import Interval

_SHOWN = 6  # points of a curve in a terminal
_UNITS = {"trials": "trials", "hours": "h", "gpu_hours": "GPU-h"}


def tuning_frame(studies: Sequence[StudyRows], rule: SelectionRule, unit: Unit) -> pd.DataFrame:
    """Return the best-so-far curves of all studies.

    Raises:
        UserError: GPU-hours were asked for, and nothing ran on a GPU.
    """
    frame = curve_frame(studies, rule, unit)
    if frame.empty:
        raise UserError(
            f"No trial of these results has cost any {_UNITS[unit]}; choose another --against."
        )
    return frame.assign(rule=rule.name, watermark=rule.watermark)


def tuning_text(studies: Sequence[StudyRows], rule: SelectionRule, unit: Unit) -> list[str]:
    """Return curves, gains and shares of variance, task by task.

    Raises:
        UserError: as `tuning_frame`.
    """
    frame = tuning_frame(studies, rule, unit)
    lines = [rule.watermark] if rule.watermark else []
    lines += [
        f"Best {rule.name} so far in %, by what was spent in {_UNITS[unit]}: mean and 5 to 95 % of "
        "the orders in which the trials might have come. Any: a trial that ended well.",
        "Tuned less default: points of balanced accuracy on test on the same seeds, 95 % by "
        "Student's t over seeds (their number).",
    ]
    for task, members in by_task(studies).items():
        part = frame[frame["task"] == task]
        if len(part):
            lines += ["", task, *_curves(part, unit)]
        gains = [gain for study in members if (gain := tuning_gain(study, rule)) is not None]
        known = [gain for gain in gains if gain.n_seeds]
        if known:
            lines += ["", *text_table(("method", "tuned less default"), list(map(_gain, known)))]
        lines += ["", _explained(members, rule)]
    return lines


def _curves(part: pd.DataFrame, unit: Unit) -> list[str]:
    largest = float(part["spent"].max())
    if unit == "trials":
        points = np.unique(np.geomspace(1, largest, _SHOWN).round()).tolist()
    else:
        points = (largest * np.arange(1, _SHOWN + 1) / _SHOWN).tolist()
    header = ["method", *(_spent(point, unit) for point in points)]
    rows: list[list[str]] = []
    for label, curve in part.groupby("label", sort=False):
        row = [str(label)]
        for point in points:
            reached = curve[curve["spent"] <= point * (1 + 1e-9)]
            ended = float(curve["spent"].max()) < point * (1 - 1e-9)
            last = reached.iloc[-1] if len(reached) else None
            if last is None or ended:  # the study did not spend that much
                row.append("–")
            elif last["found"] < 0.95:  # a mean of the lucky orders alone would mislead
                row.append(f"{100 * last['found']:.0f} % found any")
            else:
                band = bounds(Interval(last["low"], last["high"], ""))
                row.append(f"{percent(last['mean'])} {band}")
        rows.append(row)
    return text_table(header, rows)


def _spent(point: float, unit: Unit) -> str:
    return "1 trial" if unit == "trials" and point == 1 else f"{point:.3g} {_UNITS[unit]}"


def _gain(gain: TuningGain) -> list[str]:
    if gain.default_was_selected:
        return [gain.label, "the default was selected"]
    return [
        gain.label,
        f"{percent(gain.gain, '+')} {bounds(gain.interval, '+')} ({gain.n_seeds})",
    ]


def _explained(members: Sequence[StudyRows], rule: SelectionRule) -> str:
    found = explained(members, rule)
    if found is None:
        return (
            "Variance: not split, which takes two methods whose tuned and default configurations "
            "are confirmed on two seeds."
        )
    shares = ", ".join(
        f"{name} {percent(found.eta_squared[name])} % ({percent(found.by_chance[name])} by chance)"
        for name in (*FACTORS, "residual")
    )
    left_out = f"; left out: {', '.join(found.left_out)}" if found.left_out else ""
    return (
        f"Variance of test balanced accuracy over {len(found.labels)} methods x default and tuned "
        f"x {found.n_seeds} seeds, eta squared: {shares}{left_out}."
    )
