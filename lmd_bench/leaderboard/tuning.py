"""`lmd-bench tuning`: what more trials bring, what tuning gains, what explains the variance."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from typing import get_args

import numpy as np
import pandas as pd
from jaxtyping import Float

from lmd_bench.core.errors import UserError, unknown
from lmd_bench.core.schema import Row
from lmd_bench.core.seeding import derive_seed
from lmd_bench.leaderboard.answer import Answer
from lmd_bench.leaderboard.studies.budget import Unit, costs_of
from lmd_bench.leaderboard.studies.group import StudyRows, by_task, group_studies
from lmd_bench.leaderboard.studies.measure import measure
from lmd_bench.leaderboard.studies.predictions import (
    Clusters,
    clusters_of,
    judged_runs,
    same_images,
)
from lmd_bench.leaderboard.studies.rules import SelectionRule, score
from lmd_bench.leaderboard.tables.text import Part, Table, bounds, percent, with_bounds
from lmd_bench.stats.best_so_far import best_of_hours, best_of_trials
from lmd_bench.stats.intervals import Interval
from lmd_bench.stats.joint import Joint, joint
from lmd_bench.store.store import Store

_SHOWN = 6  # points of a curve in a terminal
_UNITS = {"trials": "trials", "hours": "h", "gpu_hours": "GPU-h", "watt_hours": "Wh"}
FACTORS = ("method", "tuning", "seed")
Design = Float[np.ndarray, "methods configs seeds"]


@dataclass(frozen=True)
class TuningGain:
    """Test balanced accuracy of the tuned configuration less the default's, on equal seeds."""

    label: str
    gain: Joint  # its value is NaN where they share no seed that ended well
    default_was_selected: bool


@dataclass(frozen=True)
class Explained:
    """Shares of the variance of one task's test scores; together 1."""

    eta_squared: dict[str, float]  # method, tuning, seed, residual; NaN where all scores are equal
    by_chance: dict[str, float]  # what they would be on average if scores were pure noise
    labels: tuple[str, ...]  # the methods in the design
    n_seeds: int
    left_out: tuple[str, ...]


def tuning(
    store: Store | None,
    rows: Sequence[Row],
    rule: SelectionRule,
    unit: str = "trials",
    clusters: Clusters | None = None,
) -> Answer:
    """Return what trials, hours and tuning bring; the frame holds the best-so-far curves.

    Args:
        store: Where the logits lie; None: gains are known over retrainings alone.
        rows: Of any number of studies.
        rule: What selects the configuration of each study.
        unit: What is spent: trials, hours, gpu_hours or watt_hours.
        clusters: Lesions or patients of the images; None: those stored with the logits.

    Raises:
        UserError: no such unit, or nothing has cost any of it.
    """
    units: dict[str, Unit] = {name: name for name in get_args(Unit)}
    if unit not in units:
        raise unknown("unit", unit, units)
    studies, of_unit = group_studies(rows), units[unit]
    frame = tuning_frame(studies, rule, of_unit)
    return Answer(
        {"rows": frame}, lambda: tuning_text(studies, rule, of_unit, store, clusters), rule
    )


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


def tuning_text(
    studies: Sequence[StudyRows],
    rule: SelectionRule,
    unit: Unit,
    store: Store | None = None,
    clusters: Clusters | None = None,
) -> list[Part]:
    """Return curves, gains and shares of variance, task by task.

    Raises:
        UserError: as `tuning_frame`.
    """
    frame = tuning_frame(studies, rule, unit)
    lines: list[Part] = [
        f"Best {rule.name} so far in %, by what was spent in {_UNITS[unit]}: mean and 5 to 95 % of "
        "the orders in which the trials might have come; the band ends at half of what was "
        "spent, as all orders of the same trials end alike.",
        "Tuned less default: points of balanced accuracy on test on the same seeds; [ ]: 95 % over "
        "test images and retrainings together. Images: for these trained models alone; seeds: on "
        "these images alone, by Student's t (number of retrainings). A dash: not known.",
    ]
    for task, members in by_task(studies).items():
        part = frame[frame["task"] == task]
        if len(part):
            lines += ["", task, _curves(part, unit)]
        gains = [tuning_gain(study, rule, store, clusters) for study in members]
        known = [gain for gain in gains if gain is not None and gain.gain.n_seeds]
        if known:
            header = ("method", "tuned less default", "images", "seeds")
            lines += ["", Table(header, list(map(_gain, known)))]
        lines += ["", _explained(members, rule)]
    return lines


def curve_frame(
    studies: Sequence[StudyRows], rule: SelectionRule, unit: Unit = "trials"
) -> pd.DataFrame:
    """Return the curves of studies, one line per point: task, label, spent, mean, low, high, found.

    A study without trials, or without cost in the unit (GPU-hours on a CPU), has no lines.
    """
    parts: list[pd.DataFrame] = []
    for study in studies:
        values = [_value(study, row, rule) for row in study.trials]
        before, costs = costs_of(study, unit)
        if not any(costs):
            continue
        generator = np.random.default_rng(derive_seed(0, "curve", study.task, study.label))
        found = (
            best_of_trials(values) if unit == "trials" else best_of_hours(values, costs, generator)
        )
        columns = {"task": study.task, "label": study.label, "unit": unit, **vars(found)}
        # Its first trial comes after the whole search of its stage 1.
        columns["spent"] = found.spent + before
        parts.append(pd.DataFrame(columns))
    names = ["task", "label", "unit", "spent", "mean", "low", "high", "found"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=pd.Index(names))


def tuning_gain(
    study: StudyRows,
    rule: SelectionRule,
    store: Store | None = None,
    clusters: Clusters | None = None,
) -> TuningGain | None:
    """Return what tuning gained; None where nothing was selected, or there is no default."""
    selected, default = study.selected(rule), study.default
    if selected is None or default is None:
        return None
    same = selected["key"] == default["key"]
    return TuningGain(study.label, _gained(study, selected, default, store, clusters), same)


def _gained(
    study: StudyRows,
    selected: Row,
    default: Row,
    store: Store | None,
    clusters: Clusters | None,
) -> Joint:
    tuned, plain = _scores(study, selected), _scores(study, default)
    shared = sorted(tuned.keys() & plain.keys())
    if store is not None and selected["key"] != default["key"]:
        sides = [
            judged_runs(store, study.label, study.ok_runs(row), row) for row in (selected, default)
        ]
        one, two = sides
        if one is not None and two is not None and set(shared) <= {*one.seeds} & {*two.seeds}:
            same_images(study.label, (one.image_ids, one.labels), (two.image_ids, two.labels))
            if shared:
                lesions = clusters_of(one, clusters)
                return measure([(1.0, one), (-1.0, two)], shared, lesions=lesions)
    return joint([tuned[seed] - plain[seed] for seed in shared], None, "")


def explained(studies: Sequence[StudyRows], rule: SelectionRule) -> Explained | None:
    """Return the shares of the variance on one task; None below two methods or two seeds."""
    scores = {
        study.label: (_scores(study, study.default), _scores(study, study.selected(rule)))
        for study in studies
    }
    both = {label: plain.keys() & tuned.keys() for label, (plain, tuned) in scores.items()}
    most = max((len(seeds) for seeds in both.values()), default=0)
    labels = tuple(label for label, seeds in both.items() if seeds and len(seeds) == most)
    shared = sorted(set.intersection(*(set(both[label]) for label in labels))) if labels else []
    if len(labels) < 2 or len(shared) < 2:
        return None
    design = np.array(
        [[[config[seed] for seed in shared] for config in scores[label]] for label in labels]
    )
    left_out = tuple(label for label in scores if label not in labels and any(scores[label]))
    return Explained(
        eta_squared(design), shares_by_chance(design.shape), labels, len(shared), left_out
    )


def eta_squared(design: Design) -> dict[str, float]:
    """Return the share of each main effect, and of the rest, in the sum of squares.

    SS of a factor = (cells / levels) sum over its levels of (mean of the level - grand mean)^2.
    """
    grand = design.mean()
    total = float(((design - grand) ** 2).sum())
    shares: dict[str, float] = {}
    for axis, name in enumerate(FACTORS):
        others = tuple(other for other in range(3) if other != axis)
        level_means = design.mean(axis=others)
        squares = design.size / len(level_means) * float(((level_means - grand) ** 2).sum())
        shares[name] = squares / total if total > 0 else float("nan")
    return shares | {"residual": 1 - sum(shares.values())}


def shares_by_chance(shape: Sequence[int]) -> dict[str, float]:
    """Return the mean of `eta_squared` over designs of equal, independent, normal scores."""
    n_cells = int(np.prod(shape))
    shares = {
        name: (n_levels - 1) / (n_cells - 1) for name, n_levels in zip(FACTORS, shape, strict=True)
    }
    return shares | {"residual": 1 - sum(shares.values())}


def _curves(part: pd.DataFrame, unit: Unit) -> Table:
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
                band = Interval(last["low"], last["high"], "")
                known = not isnan(last["low"] + last["high"])
                row.append(percent(last["mean"]) + (f" {bounds(band)}" if known else ""))
        rows.append(row)
    return Table(header, rows)


def _spent(point: float, unit: Unit) -> str:
    return "1 trial" if unit == "trials" and point == 1 else f"{point:.3g} {_UNITS[unit]}"


def _gain(gain: TuningGain) -> list[str]:
    if gain.default_was_selected:
        return [gain.label, "the default was selected", "", ""]
    found = gain.gain
    return [
        gain.label,
        with_bounds(found.value, found.interval, "+"),
        bounds(found.images, "+"),
        f"{bounds(found.seeds, '+')} ({found.n_seeds})",
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


def _value(study: StudyRows, row: Row, rule: SelectionRule) -> float:
    value = score(row, rule, study.runs(row))
    return float("nan") if value is None else value


def _scores(study: StudyRows, source: Row | None) -> dict[int, float]:
    return {
        seed: row["test_balanced_accuracy"]
        for seed, row in study.ok_runs(source).items()
        if row["test_balanced_accuracy"] is not None
    }
