"""What a clinic asks of confirmed methods: at its prevalence, costs, thresholds; by subgroup.

Everything is computed from stored logits of test; nothing is trained.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int64

from lmd_bench.core.errors import UserError, unknown
from lmd_bench.core.schema import Row
from lmd_bench.core.text import natural_order
from lmd_bench.leaderboard.answer import Answer
from lmd_bench.leaderboard.clinic_files import UNIFORM, prevalence_of, read_costs
from lmd_bench.leaderboard.leaders import score_of
from lmd_bench.leaderboard.studies.group import by_task, group_studies
from lmd_bench.leaderboard.studies.measure import (
    OF_CLASS,
    measure,
    measure_by,
    measure_estimates,
)
from lmd_bench.leaderboard.studies.predictions import (
    Clusters,
    Judged,
    clusters_of,
    read_column,
    read_methods,
)
from lmd_bench.leaderboard.studies.rules import SelectionRule
from lmd_bench.leaderboard.tables.text import Part, Table, percent, shown, with_bounds
from lmd_bench.stats.calibration import calibration_intercept, calibration_slope, is_separated
from lmd_bench.stats.deployment import (
    Costs,
    Prevalence,
    cheapest,
    expected_cost,
    net_benefit,
    predictive_values,
    prevalence_weights,
    sensitivity_at,
    shifted,
    specificity,
)
from lmd_bench.stats.intervals import Interval
from lmd_bench.stats.joint import Joint
from lmd_bench.stats.metrics import METRICS
from lmd_bench.store.store import Store

PARTS = ("scores", "classes", "decisions", "subgroups")
_WEIGHTED = ("accuracy", "macro_f1", "nll", "brier", "ece")
# others are shares
_UNBOUNDED = ("nll", "brier", "cost", "cost_of_cheapest", "slope", "intercept")
_THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.5)
_FEWEST = 10  # images of a subgroup; smaller ones are counted and not judged
_N_PARTS = 4  # of a column of numbers


@dataclass(frozen=True)
class Use:
    """How the classifiers are to be used."""

    prevalence: str = UNIFORM  # data, train, uniform or a file
    shift: bool = False  # logits are moved to that prevalence
    specificity: float = 0.9  # at which sensitivities are given
    costs: Path | None = None
    subgroups: Clusters | None = None  # a CSV and one of its columns


def clinic(
    store: Store,
    rows: Sequence[Row],
    rule: SelectionRule,
    use: Use,
    methods: Sequence[str] = (),
    clusters: Clusters | None = None,
) -> Answer:
    """Return scores at a prevalence, predictive values, costs, decision curves and subgroups.

    Args:
        store: Where the logits lie.
        rows: Of any number of studies.
        rule: What selects the configuration of each study.
        use: How the classifiers are to be used.
        methods: Shown by class, threshold and subgroup; none: the best of each task.
        clusters: Lesions or patients of the images; None: those stored with the logits.

    Raises:
        UserError: no logits of test, an unknown method, or a file that cannot be used.
    """
    if not 0.0 < use.specificity < 1.0:
        raise UserError(
            f"Specificity {use.specificity:g} is not possible; give a number between 0 and 1."
        )
    studies = group_studies(rows)
    known = {study.method for study in studies} | {study.label for study in studies}
    for name in methods:
        if name not in known:
            raise unknown("method", name, known)
    lines: dict[str, list[dict[str, Any]]] = {part: [] for part in PARTS}
    said: list[str] = []
    for task, members in by_task(studies).items():
        judged = read_methods(store, members, rule)
        if not judged:
            continue
        judged.sort(key=lambda one: (-score_of(one), one.label))
        first = members[0].rows[0]
        names = judged[0].class_names
        prevalence = prevalence_of(use.prevalence, first, rows)
        costs = None if use.costs is None else read_costs(use.costs, names)
        said.append(f"{task}: " + ", ".join(_shares(names, prevalence)))
        moved = [_moved(one, prevalence) if use.shift else one for one in judged]
        in_detail = [
            one for one in moved if one.label in methods or one.label.split(" [")[0] in methods
        ] or ([] if methods else moved[:1])
        ids = clusters_of(judged[0], clusters)
        for one in moved:
            lines["scores"] += [{"task": task, **_scores(one, prevalence, costs, ids)}]
        for one in in_detail:
            lines["classes"] += [
                {"task": task, **line} for line in _classes(one, prevalence, use.specificity, ids)
            ]
            lines["decisions"] += [{"task": task, **line} for line in _decisions(one, prevalence)]
            if use.subgroups is not None:
                lines["subgroups"] += [
                    {"task": task, **line} for line in _subgroups(one, use.subgroups, ids)
                ]
    if not lines["scores"]:
        raise UserError(
            f"No confirmed run in {store.root} has logits of test; let its search confirm, or name "
            "another folder with --results."
        )
    frames = {part: pd.DataFrame(of_part) for part, of_part in lines.items() if of_part}
    return Answer(frames, lambda: _text(lines, use, said), rule)


def _moved(judged: Judged, prevalence: Prevalence) -> Judged:
    logits = tuple(shifted(z, prevalence) for z in judged.logits)
    right = np.column_stack([z.argmax(axis=1) == judged.labels for z in logits])
    return replace(judged, logits=logits, right=right, jackknifed={})


def _scores(
    judged: Judged, prevalence: Prevalence, costs: Costs | None, ids: Any
) -> dict[str, Any]:
    def weighted(name: str) -> Callable[..., float]:
        def score(labels: Any, logits: Any) -> float:
            weights = prevalence_weights(labels, prevalence)
            return METRICS[name].value(labels, logits, weights=weights)

        return score

    line: dict[str, Any] = {"method": judged.label, "n_seeds": len(judged.seeds)}
    scores: dict[str, Callable[..., float]] = {name: weighted(name) for name in _WEIGHTED}
    if costs is not None:
        scores["cost"] = lambda y, z: expected_cost(y, z.argmax(axis=1), prevalence, costs)
        scores["cost_of_cheapest"] = lambda y, z: expected_cost(
            y, cheapest(z, costs), prevalence, costs
        )
    for name, score in scores.items():
        line |= _columns(name, measure_by(judged, score, ids))
    return line


def _classes(
    judged: Judged, prevalence: Prevalence, least: float, ids: Any
) -> Iterator[dict[str, Any]]:
    for index in natural_order(judged.class_names):
        name = judged.class_names[index]
        if not (judged.labels == index).any():
            continue
        scores: dict[str, Callable[..., float]] = {
            "specificity": lambda y, z, k=index: specificity(y, z, prevalence, k),
            "ppv": lambda y, z, k=index: float(predictive_values(y, z, prevalence)[0][k]),
            "npv": lambda y, z, k=index: float(predictive_values(y, z, prevalence)[1][k]),
            "sensitivity_at": lambda y, z, k=index: sensitivity_at(y, z, prevalence, k, least),
        }
        line: dict[str, Any] = {
            "method": judged.label,
            "class": name,
            "n_images": int((judged.labels == index).sum()),
            "prevalence": float(prevalence[index]),
            "least_specificity": least,
            # a mean over images, which knows how few they are
            **_columns("sensitivity", measure([(1.0, judged)], judged.seeds, OF_CLASS + name, ids)),
        }
        for score_name, score in scores.items():
            line |= _columns(score_name, measure_by(judged, score, ids))
        yield line | _calibration(judged, prevalence, index, ids)


def _calibration(
    judged: Judged, prevalence: Prevalence, index: int, ids: Any
) -> dict[str, float | int]:
    """Return slope and intercept; none where some retraining has no finite slope."""
    line: dict[str, float | int] = {
        "n_separated": sum(is_separated(judged.labels, z, index) for z in judged.logits)
    }
    for name, fit in (("slope", calibration_slope), ("intercept", calibration_intercept)):
        estimates = [fit(judged.labels, z, prevalence, index) for z in judged.logits]
        line |= _columns(name, measure_estimates(judged, estimates, prevalence, ids))
    return line


def _decisions(judged: Judged, prevalence: Prevalence) -> Iterator[dict[str, Any]]:
    for index in natural_order(judged.class_names):
        name = judged.class_names[index]
        if not (judged.labels == index).any():
            continue
        for threshold in _THRESHOLDS:
            found = [
                net_benefit(judged.labels, z, prevalence, index, threshold) for z in judged.logits
            ]
            yield {
                "method": judged.label,
                "class": name,
                "threshold": threshold,
                "net_benefit": float(np.mean([own for own, _ in found])),
                "of_acting_on_all": found[0][1],
            }


def _subgroups(
    judged: Judged, asked: Clusters, ids: Int64[np.ndarray, " images"] | None
) -> Iterator[dict[str, Any]]:
    values = _in_parts(read_column(asked.path, asked.column, judged.image_ids))
    for value in sorted({*values}):
        inside = np.array([one == value for one in values])
        labels = judged.labels[inside]
        line: dict[str, Any] = {
            "method": judged.label,
            "column": asked.column,
            "value": value,
            "n_images": int(inside.sum()),
            "n_groups": len({*(ids[inside].tolist())}) if ids is not None else int(inside.sum()),
            "n_classes": len({*labels.tolist()}),
        }
        if inside.sum() >= _FEWEST:
            part = replace(
                judged,
                image_ids=tuple(
                    i for i, kept in zip(judged.image_ids, inside, strict=True) if kept
                ),
                labels=labels,
                right=judged.right[inside],
                clusters=None if judged.clusters is None else judged.clusters[inside],
                logits=tuple(z[inside] for z in judged.logits),
                jackknifed={},
            )
            of_part = None if ids is None else ids[inside]
            found = measure([(1.0, part)], part.seeds, lesions=of_part)
            line |= _columns("balanced_accuracy", found)
            line |= {"accuracy": float(part.right.mean())}
        yield line


def _in_parts(values: Sequence[str]) -> list[str]:
    """Return values as they are, numbers of many kinds in four parts of about equal size."""
    numbers = pd.to_numeric(pd.Series(list(values)), errors="coerce")
    if numbers.notna().sum() < len(values) / 2 or numbers.nunique() <= 2 * _N_PARTS:
        return list(values)
    parts = pd.qcut(numbers, _N_PARTS, duplicates="drop")
    return [
        "not known" if pd.isna(part) else f"{part.left:g} to {part.right:g}"
        for part in parts.tolist()
    ]


def _columns(name: str, found: Joint) -> dict[str, float]:
    low, high = found.interval.low, found.interval.high
    if name not in _UNBOUNDED:
        low, high = float(np.maximum(low, 0.0)), float(np.minimum(high, 1.0))
    return {name: found.value, f"{name}_low": low, f"{name}_high": high}


def _shares(names: Sequence[str], prevalence: Prevalence) -> list[str]:
    return [
        f"{name} {100 * share:.3g} %"
        for name, share in zip(names, prevalence.tolist(), strict=True)
    ]


def _text(
    lines: Mapping[str, Sequence[Mapping[str, Any]]], use: Use, said: Sequence[str]
) -> list[Part]:
    moved = ", logits moved to it" if use.shift else ", logits as they are"
    text: list[Part] = [
        f"At the prevalence of {use.prevalence}{moved}; [ ]: 95 % over test images (by lesion or "
        "patient, where known) and retrainings together.",
        *said,
    ]
    with_costs = "cost" in lines["scores"][0]
    heads = ["method", "accuracy", "macro F1", "NLL", "Brier", "ECE"]
    heads += ["cost", "cheapest"] if with_costs else []
    for task in dict.fromkeys(line["task"] for line in lines["scores"]):
        of_task = [line for line in lines["scores"] if line["task"] == task]
        rows = [
            [
                line["method"],
                _cell(line, "accuracy"),
                _cell(line, "macro_f1"),
                shown(line["nll"], in_percent=False),
                shown(line["brier"], in_percent=False),
                percent(line["ece"]),
                *(
                    [_cell(line, name, in_percent=False) for name in ("cost", "cost_of_cheapest")]
                    if with_costs
                    else []
                ),
            ]
            for line in of_task
        ]
        text += ["", task, Table(tuple(heads), rows)]
        text += _detail(task, lines, use)
    text += [
        "",
        "PPV and NPV: of each class against all others. Net benefit: true positives less false "
        "ones at the odds of the threshold, in % of all images; acting on nobody has 0.",
    ]
    if with_costs:
        text.append("Cost: of the most probable class; cheapest: of the least expected cost.")
    return text


def _detail(task: str, lines: Mapping[str, Sequence[Mapping[str, Any]]], use: Use) -> list[Part]:
    text: list[Part] = []
    at = f"sensitivity\nat {100 * use.specificity:g} %"
    heads = ("method", "class", "n", "sensitivity", "specificity", "PPV", "NPV", at)
    shown_scores = ("sensitivity", "specificity", "ppv", "npv", "sensitivity_at")
    rows = [
        [line["method"], line["class"], str(line["n_images"])]
        + [_cell(line, name) for name in shown_scores]
        for line in lines["classes"]
        if line["task"] == task
    ]
    text += ["", Table(heads, rows, n_keys=2)]
    text += _calibration_text([line for line in lines["classes"] if line["task"] == task])
    decisions = [line for line in lines["decisions"] if line["task"] == task]
    curves: dict[tuple[str, str], list[str]] = {}
    for line in decisions:
        own = f"{percent(line['net_benefit'])} ({percent(line['of_acting_on_all'])})"
        curves.setdefault((line["method"], line["class"]), []).append(own)
    heads = ("method", "class", *(f"net benefit\nat {100 * t:g} %" for t in _THRESHOLDS))
    text += ["", Table(heads, [[*key, *cells] for key, cells in curves.items()], n_keys=2)]
    text.append("In brackets: of acting on everybody.")
    groups = [line for line in lines["subgroups"] if line["task"] == task]
    if groups:
        heads = ("method", str(groups[0]["column"]), "images", "groups", "classes", "bal. acc.")
        rows = [
            [line["method"], str(line["value"])]
            + [str(line[name]) for name in ("n_images", "n_groups", "n_classes")]
            + [_cell(line, "balanced_accuracy") if "balanced_accuracy" in line else "–"]
            for line in groups
        ]
        text += ["", Table(heads, rows, n_keys=2)]
        text.append(
            f"Subgroups hold other classes in other numbers, and below {_FEWEST} images nothing is "
            "judged; differences of subgroups are not tested."
        )
    return text


def _calibration_text(lines: Sequence[Mapping[str, Any]]) -> list[Part]:
    rows = [
        [
            line["method"],
            line["class"],
            "separated" if line["n_separated"] else _cell(line, "slope", in_percent=False),
            _cell(line, "intercept", in_percent=False),
        ]
        for line in lines
    ]
    text: list[Part] = ["", Table(("method", "class", "slope", "intercept"), rows, n_keys=2)]
    text.append(
        "Calibration of each class against all others: slope 1 and intercept 0 are perfect. Slope "
        "below 1: probabilities are too extreme; intercept below 0: too high on average."
    )
    separated = [line for line in lines if line["n_separated"]]
    if separated:
        names = ", ".join(f"{line['class']} of {line['method']}" for line in separated)
        text.append(
            "Separated: in some retraining a threshold parts the class from all others, and no "
            f"slope is finite ({names})."
        )
    return text


def _cell(line: Mapping[str, Any], name: str, *, in_percent: bool = True) -> str:
    interval = Interval(line[f"{name}_low"], line[f"{name}_high"], "")
    return with_bounds(line[name], interval, in_percent=in_percent)
