"""Studies over a range of imbalance factors: what their configuration comes to at each of them.

One line is one method: the mean over the levels of the range, the worst level, the slope over log
factor, and what tuning over the range gains on the default. Beside it stands what the configuration
that was tuned at one level alone comes to there.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan, log10
from typing import Any

import numpy as np
import pandas as pd

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import ENCODER_COLUMNS, OF_A_STUDY, Row
from lmd_bench.core.text import encoder_label, factor_name
from lmd_bench.leaderboard.studies.group import FACTOR_RANGE, StudyRows
from lmd_bench.leaderboard.studies.measure import measure
from lmd_bench.leaderboard.studies.predictions import (
    Clusters,
    Judged,
    clusters_of,
    judged_runs,
    same_images,
)
from lmd_bench.leaderboard.studies.rules import SelectionRule
from lmd_bench.leaderboard.tables.text import Part, Table, with_bounds
from lmd_bench.stats.joint import Joint, joint, joint_columns
from lmd_bench.stats.metrics import METRICS, PRIMARY
from lmd_bench.store.from_logits import scores_on_test
from lmd_bench.store.store import Store

Runs = Mapping[float, Mapping[int, Row]]  # factor -> seed -> confirmation run that ended well
# What a study at one factor has in common with a range that it stands beside, but for the images.
_BESIDE = (
    *("dataset", "protocol", "image_size", "split_seed", "n_max", "n_epochs"),
    *ENCODER_COLUMNS,
)


@dataclass(frozen=True, eq=False)
class RangeStudy:
    """One study whose trials drew their imbalance factor."""

    family: str  # the task but for its factor, with the range
    method: str
    study: str
    trials: tuple[Row, ...]  # of the search, in the order of their numbers
    chosen: Runs
    default: Runs
    source: Row | None  # search row of the chosen configuration; None: the default was chosen

    @property
    def factors(self) -> list[float]:
        """Return the levels of the range."""
        return sorted({row["imbalance_factor"] for row in self.trials})


@dataclass(frozen=True, eq=False)
class Models:
    """The confirmed models of one configuration at each factor, and where what they say lies."""

    label: str
    runs: Runs
    store: Store | None
    metric: str
    read: dict[float, Judged | None] = field(default_factory=dict[float, Judged | None])

    def judged(self, factor: float) -> Judged | None:
        """Return what the models of a factor got right on test; None without logits."""
        if factor not in self.read:
            runs = self.runs.get(factor, {})
            source = next(iter(runs.values()), None)
            self.read[factor] = None
            if self.store is not None and source is not None:
                # One damaged file costs an interval, not the table.
                try:
                    self.read[factor] = judged_runs(self.store, self.label, runs, source)
                except UserError:
                    self.read[factor] = None
        return self.read[factor]

    def score(self, factor: float, seed: int) -> float:
        """Return the metric of one model."""
        return scores_on_test(self.runs[factor][seed], (self.metric,), self.store)[self.metric]


Sides = Sequence[tuple[float, Models, float]]  # weight, models, factor


def weighted(sides: Sides, clusters: Clusters | None = None) -> Joint:
    """Return a weighted sum of a metric over models and factors, with its intervals.

    All are judged on the same test images, as a range of factors has one test set.

    Raises:
        UserError: they are not.
    """
    seeds = [set(models.runs.get(factor, {})) for _, models, factor in sides]
    shared = sorted(set.intersection(*seeds)) if seeds else []
    metric = sides[0][1].metric if sides else PRIMARY.name
    judged = [(weight, models.judged(factor)) for weight, models, factor in sides]
    present = [(weight, one) for weight, one in judged if one is not None]
    if shared and len(present) == len(sides):
        first = present[0][1]
        for _, other in present[1:]:
            pair = f"{first.label} and {other.label}"
            same_images(pair, (first.image_ids, first.labels), (other.image_ids, other.labels))
        return measure(present, shared, metric, clusters_of(first, clusters))
    by_seed = [
        sum(weight * models.score(factor, seed) for weight, models, factor in sides)
        for seed in shared
    ]
    return joint(by_seed, None, "")


def range_studies(rows: Iterable[Row]) -> list[RangeStudy]:
    """Return the studies over a range of factors among rows."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["phase"] in OF_A_STUDY and row.get(FACTOR_RANGE):
            groups[row["study"]].append(row)
    studies = [_study(of) for of in groups.values()]
    return sorted(
        (study for study in studies if study.trials), key=lambda study: (study.family, study.method)
    )


def _study(rows: Sequence[Row]) -> RangeStudy:
    first = rows[0]
    trials = sorted(
        (row for row in rows if row["phase"] == "search"), key=lambda row: row["trial_number"]
    )
    runs = [row for row in rows if row["phase"] == "confirm" and row["status"] == "ok"]
    # What was confirmed last: another rule over the range may have chosen another before.
    tuned = [row for row in runs if not row["is_default"]]
    latest = max(tuned, key=lambda row: (row["finished_at"], row["key"]), default=None)
    default = _by_factor(row for row in runs if row["is_default"])
    key = None if latest is None else latest["source_key"]
    chosen = _by_factor(row for row in tuned if row["source_key"] == key)
    n_max = "" if first["n_max"] is None else f" · n_max {first['n_max']}"
    split = f" · split {first['split_seed']}" if first["split_seed"] else ""
    size = f" · {first['image_size']} px" if first["image_size"] else ""
    encoder = f" · {label}" if (label := encoder_label(first)) else ""
    name = f"{first['dataset']} · {first['protocol']} · IF {first[FACTOR_RANGE]}"
    return RangeStudy(
        family=f"{name}{n_max}{split}{size}{encoder}",
        method=first["method"],
        study=first["study"],
        trials=tuple(trials),
        chosen=chosen or default,
        default=default,
        source=next((row for row in trials if row["key"] == key), None),
    )


def _by_factor(rows: Iterable[Row]) -> Runs:
    runs: dict[float, dict[int, Row]] = defaultdict(dict)
    for row in rows:
        runs[row["imbalance_factor"]][int(row["seed"])] = row
    return runs


@dataclass(frozen=True)
class RangeLine:
    """One method over a range of factors."""

    study: RangeStudy
    metric: str
    mean: Joint  # over the levels
    worst_factor: float
    worst: Joint
    slope: Joint  # for a factor ten times as large
    gain: Joint  # of the mean, on the default
    at: Mapping[float, Joint]  # by factor
    alone: Mapping[float, tuple[str, Joint, Joint]]  # tuned there: label, score, range less it


def range_lines(
    studies: Sequence[RangeStudy],
    singles: Sequence[StudyRows],
    rule: SelectionRule,
    store: Store | None,
    metric: str = PRIMARY.name,
    clusters: Clusters | None = None,
) -> list[RangeLine]:
    """Return the line of each study that is confirmed, best mean first within its family.

    Args:
        studies: Over ranges.
        singles: At one factor each, of any number of tasks.
        rule: What selects the configuration of those.
        store: Where logits lie; None: intervals over retrainings alone.
        metric: On test.
        clusters: Lesions or patients of the images; None: those stored with the logits.

    Raises:
        UserError: runs of one task were judged on different images.
    """
    better = 1 if METRICS[metric].higher_is_better else -1
    lines: list[RangeLine] = []
    for study in studies:
        factors = sorted(factor for factor, runs in study.chosen.items() if runs)
        if not factors:
            continue
        models = Models(study.method, study.chosen, store, metric)
        default = Models(f"{study.method} (default)", study.default, store, metric)
        at = {factor: weighted([(1.0, models, factor)], clusters) for factor in factors}
        worst = min(factors, key=lambda factor: better * at[factor].value)
        shared = [factor for factor in factors if study.default.get(factor)]
        gain = [(1 / len(shared), models, factor) for factor in shared]
        gain += [(-1 / len(shared), default, factor) for factor in shared]
        lines.append(
            RangeLine(
                study=study,
                metric=metric,
                mean=weighted([(1 / len(factors), models, f) for f in factors], clusters),
                worst_factor=worst,
                worst=at[worst],
                slope=weighted(_slope(models, factors), clusters),
                gain=weighted(gain, clusters) if study.source is not None else joint((), None, ""),
                at=at,
                alone=_alone(study, models, singles, rule, clusters),
            )
        )
    return sorted(lines, key=lambda line: (line.study.family, -better * line.mean.value))


def _slope(models: Models, factors: Sequence[float]) -> Sides:
    """Return the weights of the least-squares slope over log10 of the factor."""
    places = np.array([log10(factor) for factor in factors])
    centred = places - places.mean()
    squares = float((centred**2).sum())
    if not squares:
        return []
    return [
        (float(c) / squares, models, factor) for c, factor in zip(centred, factors, strict=True)
    ]


def _alone(
    study: RangeStudy,
    models: Models,
    singles: Sequence[StudyRows],
    rule: SelectionRule,
    clusters: Clusters | None,
) -> dict[float, tuple[str, Joint, Joint]]:
    """Return what the same method comes to where it was tuned at one level of the range alone."""
    there: dict[float, tuple[str, Joint, Joint]] = {}
    first = study.trials[0]
    for single in singles:
        row = single.rows[0]
        factor = row["imbalance_factor"]
        if single.method != study.method or factor not in study.chosen:
            continue
        # Another version of the data, or another split file, gives the same factor other images.
        images = {run["task_fingerprint"] for run in study.chosen[factor].values()}
        same = all(row.get(name) == first.get(name) for name in _BESIDE)
        if images != {row["task_fingerprint"]} or not same:
            continue
        runs = single.ok_runs(single.selected(rule))
        if not runs:
            continue
        alone = Models(single.label, {factor: runs}, models.store, models.metric)
        score = weighted([(1.0, alone, factor)], clusters)
        loss = weighted([(1.0, models, factor), (-1.0, alone, factor)], clusters)
        there[factor] = (single.label, score, loss)
    return there


def range_frame(lines: Sequence[RangeLine]) -> pd.DataFrame:
    """Return one line for each method over a range; `slope` is for a factor ten times as large."""
    return pd.DataFrame([_cells(line) for line in lines])


def _cells(line: RangeLine) -> dict[str, Any]:
    parts = {"mean": line.mean, "worst": line.worst, "slope": line.slope, "gain": line.gain}
    source = line.study.source
    return {
        "family": line.study.family,
        "method": line.study.method,
        "study": line.study.study,
        "metric": line.metric,
        "n_levels": len(line.at),
        "n_trials": len(line.study.trials),
        "default_was_selected": source is None,
        "selected_key": "" if source is None else source["key"],
        "worst_factor": line.worst_factor,
        **{
            column: value
            for name, part in parts.items()
            for column, value in {name: part.value, **joint_columns(part, f"{name}_")}.items()
        },
    }


def level_frame(lines: Sequence[RangeLine]) -> pd.DataFrame:
    """Return one line for each method and level, beside what was tuned at that level alone."""
    none = joint((), None, "")
    cells: list[dict[str, Any]] = []
    for line in lines:
        for factor, score in line.at.items():
            label, alone, loss = line.alone.get(factor, ("", none, none))
            cells.append(
                {
                    "family": line.study.family,
                    "method": line.study.method,
                    "study": line.study.study,
                    "metric": line.metric,
                    "imbalance_factor": factor,
                    "score": score.value,
                    **joint_columns(score, "score_"),
                    "tuned_there": label,
                    "tuned_there_score": alone.value,
                    "difference": loss.value,
                    **joint_columns(loss, "difference_"),
                }
            )
    return pd.DataFrame(cells)


def range_text(lines: Sequence[RangeLine]) -> list[Part]:
    """Return the lines as text, one table for each range; nothing for none."""
    if not lines:
        return []
    metric = lines[0].metric
    percent = METRICS[metric].percent
    parts: list[Part] = [
        f"Searched over a range of imbalance factors: test {metric} of the one configuration that "
        "is best over the range on val, retrained at each of its levels. Slope: for a factor ten "
        "times as large. Gain: of the mean, on the default. Intervals of 95 % are over test images "
        "and retrainings together."
    ]
    for family in dict.fromkeys(line.study.family for line in lines):
        members = [line for line in lines if line.study.family == family]
        cells = [
            [
                line.study.method,
                _bounds(line.mean, "", percent),
                f"{_bounds(line.worst, '', percent)} at {factor_name(line.worst_factor)}",
                _bounds(line.slope, "+", percent),
                "default chosen" if line.study.source is None else _bounds(line.gain, "+", percent),
            ]
            for line in members
        ]
        header = ("method", "mean of levels", "worst level", "slope", "gain")
        parts += ["", family, Table(header, cells)]
        parts += _level_text(members, percent)
    return parts


def _level_text(lines: Sequence[RangeLine], percent: bool) -> list[Part]:
    factors = sorted({factor for line in lines for factor in line.at})
    rows: list[list[str]] = []
    for line in lines:
        scores = [_bounds(line.at[f], "", percent) if f in line.at else "–" for f in factors]
        rows.append([line.study.method, *scores])
        if line.alone:
            losses = [
                _bounds(line.alone[f][2], "+", percent) if f in line.alone else "–" for f in factors
            ]
            rows.append(["  less tuned there", *losses])
    return ["", Table(("method", *(factor_name(f, "IF ") for f in factors)), rows)]


def _bounds(score: Joint, sign: str, percent: bool) -> str:
    if isnan(score.value):
        return "–"
    # With one retraining or without logits there is no interval over both.
    known = score.interval if not isnan(score.interval.low) else score.images
    return with_bounds(score.value, known, sign, in_percent=percent)
