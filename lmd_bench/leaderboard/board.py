"""Rows to the leaderboard: one line per study that was searched and confirmed.

The columns of `Leaderboard.frame` are the columns of its CSV and JSON; scores are fractions.
"""

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any

import pandas as pd

from lmd_bench.core.schema import TASK_COLUMNS, Row
from lmd_bench.leaderboard.missing import never_searched, unconfirmed
from lmd_bench.leaderboard.studies.budget import Budget, within
from lmd_bench.leaderboard.studies.group import (
    STUDY_COLUMNS,
    StudyRows,
    group_studies,
    named_studies,
    outcomes,
    study_label,
    task_order,
)
from lmd_bench.leaderboard.studies.read import read_grouped
from lmd_bench.leaderboard.studies.rules import VAL_BALANCED_ACCURACY, SelectionRule
from lmd_bench.leaderboard.studies.scores import metric_spreads
from lmd_bench.leaderboard.tables.render import PRIMARY, Leaderboard
from lmd_bench.stats.metrics import METRICS
from lmd_bench.stats.spread import spread
from lmd_bench.store.row_files import ORDER
from lmd_bench.store.store import Store

Line = dict[str, Any]
SCORES = tuple(name for name, metric in METRICS.items() if metric.in_board)
HEADLINES = tuple(name for name in SCORES if METRICS[name].headline)
_READ = (
    *(*STUDY_COLUMNS, *ORDER, "status", "is_default", "source_key", "class_names", "n_epochs"),
    *("val_balanced_accuracy", *(f"test_{name}" for name in SCORES)),
    *("seconds", "standalone_seconds", "gpu_share", "best_epoch", "full_objective_share"),
)
LINE_COLUMNS = (
    *("task", *TASK_COLUMNS, "n_classes", "chance", "method", "study", "label", "n_epochs"),
    *(f"test_{name}{suffix}" for name in SCORES for suffix in ("", "_sd")),
    *("n_seeds", "n_seeds_failed"),
    *(f"default_test_{name}{suffix}" for name in HEADLINES for suffix in ("", "_sd")),
    *("default_n_seeds", "default_n_seeds_failed", "default_was_selected"),
    *("val_balanced_accuracy", "n_trials", "n_trials_ok", "fewer_trials"),
    *("seconds", "standalone_seconds", "selected_key", "rule", "budget", "watermark"),
)


@dataclass(frozen=True)
class _Wanted:
    """What the line of a study takes."""

    rule: SelectionRule
    budget: Budget | None
    results: str  # the option of a command that names the results folder
    metrics: Sequence[str]
    store: Store | None  # where logits lie


def load(
    root: str | Path,
    rule: SelectionRule = VAL_BALANCED_ACCURACY,
    budget: Budget | None = None,
    metrics: Sequence[str] = (),
) -> Leaderboard:
    """Return the leaderboard of a results folder.

    Args:
        root: Folder of the results.
        rule: What selects the configuration of each study, replayed from its rows.
        budget: What each study may have cost; later trials are not looked at.
        metrics: Further metrics on test, from the rows or their logits.

    Raises:
        UserError: no results there, none that can be read, or those of another version.
    """
    columns = (*_READ, *rule.columns, *(f"test_{name}" for name in metrics))
    store, groups, notes = read_grouped(root, rule, columns)
    results = f" --results {shlex.quote(str(root))}"
    wanted = _Wanted(rule, budget, results, metrics, store)
    return _build(named_studies(groups), wanted, notes)


def build(
    rows: Iterable[Row],
    rule: SelectionRule = VAL_BALANCED_ACCURACY,
    notes: tuple[str, ...] = (),
    budget: Budget | None = None,
    results: str = "",
    metrics: Sequence[str] = (),
    store: Store | None = None,
) -> Leaderboard:
    """Return the leaderboard of rows; a study without confirmation becomes a note.

    A study that has confirmations, but none of the configuration that the rule selects, is a line
    with missing scores, and a note names the command that fills them.

    Args:
        rows: All rows, of any number of studies.
        rule: What selects the configuration of each study.
        notes: Come first among the notes.
        budget: What each study may have cost.
        results: The option of that command that names the results folder.
        metrics: Further metrics on test.
        store: Where the logits lie that metrics are computed from; None: the rows alone are asked.
    """
    wanted = _Wanted(rule, budget, results, metrics, store)
    return _build(group_studies(rows), wanted, notes)


def _build(studies: Sequence[StudyRows], wanted: _Wanted, notes: tuple[str, ...]) -> Leaderboard:
    rule, budget = wanted.rule, wanted.budget
    lines: list[Line] = []
    found = list(notes)
    for study in studies:
        if budget is not None:
            study, shorter = within(study, budget)
            found += shorter
        line, study_notes = _study_line(study, wanted)
        lines += [line] if line else []
        found += study_notes
    found += unconfirmed(studies, rule, wanted.results)
    found += never_searched(studies, lines, wanted.results)
    if budget is None or budget.unit == "trials":  # hours pay for as many as they do
        _mark_smaller_studies(lines)
    _tell_repeats_apart(lines, " (chosen on test)" if rule.watermark else "")
    found += _unequal_epochs(lines)
    lines.sort(key=_place)
    columns = dict.fromkeys((*LINE_COLUMNS, *_metric_columns(wanted.metrics)))
    frame = pd.DataFrame(lines, columns=pd.Index(list(columns)))
    return Leaderboard(frame, tuple(found), rule, budget, tuple(wanted.metrics))


def _study_line(study: StudyRows, wanted: _Wanted) -> tuple[Line | None, list[str]]:
    rule, trials = wanted.rule, study.trials
    selected = study.selected(rule)
    name = f"{study.method} on {study.task}"
    if not trials:
        return None, [f"no trial within the budget: {name}"]
    if selected is None:
        why = f"no trial that {rule.name} can judge" if _n_ok(trials) else "no trial finished"
        return None, [f"searched, {why}: {name} ({outcomes(trials)})"]
    tuned = study.runs(selected)
    if not tuned and not study.is_confirmed:
        return None, []  # `unconfirmed` tells of it
    default = study.default
    runs = {"tuned": tuned, "default": study.runs(default)}
    line = _line(study, selected, runs, wanted)
    if line["default_was_selected"]:
        runs["default"] = []
    notes = [
        f"the {which} configuration did not finish with every seed: {name} ({outcomes(found)})"
        for which, found in runs.items()
        if _n_ok(found) < len(found)
    ]
    if not tuned:
        notes.append(
            f"missing, as only other configurations are confirmed: {name}; "
            f"lmd-bench confirm {selected['key']}{wanted.results} fills it"
        )
    notes += _barely_begun(runs["tuned"], name)
    return line, notes + _undefined(line, name, wanted.metrics)


def _barely_begun(runs: Sequence[Row], name: str) -> list[str]:
    """Return a note where runs were kept before most of what their method does had been done.

    A method that is deferred by design, such as DRW at .8, trains one fifth under its full
    objective at most: what counts is the half of what its last epoch would have had.
    """
    shares: list[float] = []
    for row in runs:
        share = row["full_objective_share"]
        if share is None or row["best_epoch"] is None:
            continue
        deferral = (1.0 - share) * row["best_epoch"] / row["n_epochs"]
        if share < 0.5 and share < 0.5 * (1.0 - deferral):
            shares.append(share)
    if not shares:
        return []
    steps = ", ".join(f"{100 * share:.0f} %" for share in shares)
    return [
        f"kept before the method had done half of its work: {name}, {len(shares)} of {len(runs)} "
        f"runs ({steps} of their steps under the full objective)"
    ]


def _line(study: StudyRows, selected: Row, runs: dict[str, list[Row]], wanted: _Wanted) -> Line:
    trials, default = study.trials, study.default
    line: Line = {"task": study.task}
    line |= {column: selected[column] for column in TASK_COLUMNS}
    n_classes = len(selected["class_names"])
    line |= {"n_classes": n_classes, "chance": 1 / n_classes}
    line |= {column: selected[column] for column in ("method", "study", "n_epochs")}
    line |= _scores(runs["tuned"], "test", SCORES)
    line |= _scores(runs["default"], "default_test", HEADLINES)
    line["default_was_selected"] = default is not None and default["key"] == selected["key"]
    line["val_balanced_accuracy"] = selected["val_balanced_accuracy"]
    line |= {"n_trials": len(trials), "n_trials_ok": _n_ok(trials), "fewer_trials": False}
    line["seconds"] = sum(row["seconds"] for row in study.rows)
    line["standalone_seconds"] = sum(row["standalone_seconds"] for row in study.rows)
    budget = "" if wanted.budget is None else wanted.budget.description
    line |= {"selected_key": selected["key"], "rule": wanted.rule.name}
    line |= {"budget": budget, "watermark": wanted.rule.watermark}
    return line | _metrics(runs["tuned"], wanted)


def _metrics(runs: Sequence[Row], wanted: _Wanted) -> Line:
    """Return the columns of the metrics that were asked for."""
    ok = [row for row in runs if row["status"] == "ok"]
    line: Line = {}
    for name, found in metric_spreads(ok, wanted.metrics, wanted.store).items():
        values = (found.spread.mean, found.spread.sd, found.n_undefined)
        line |= dict(zip(_metric_columns([name]), values, strict=True))
    return line


def _metric_columns(metrics: Sequence[str]) -> list[str]:
    return [f"test_{name}{end}" for name in metrics for end in ("", "_sd", "_undefined")]


def _undefined(line: Line, name: str, metrics: Sequence[str]) -> list[str]:
    """Say which scores of a line are undefined although its runs ended well."""
    n_runs = line["n_seeds"]
    counts = {metric: line[f"test_{metric}_undefined"] for metric in metrics}
    counts |= {m: n_runs for m in SCORES if m not in counts and isnan(line[f"test_{m}"])}
    found = [f"{metric} in {n} of {n_runs}" for metric, n in counts.items() if n and n_runs]
    return [f"undefined or not stored (–): {name}; {', '.join(found)} runs"] if found else []


def _scores(runs: Sequence[Row], prefix: str, names: Sequence[str]) -> Line:
    ok = [row for row in runs if row["status"] == "ok"]
    line: Line = {}
    for name in names:
        found = spread([row[f"test_{name}"] for row in ok])
        line |= {f"{prefix}_{name}": found.mean, f"{prefix}_{name}_sd": found.sd}
    seeds = "n_seeds" if prefix == "test" else "default_n_seeds"
    return line | {seeds: len(ok), f"{seeds}_failed": len(runs) - len(ok)}


def _mark_smaller_studies(lines: Sequence[Line]) -> None:
    largest: Counter[str] = Counter()
    for line in lines:
        largest[line["task"]] = max(largest[line["task"]], line["n_trials"])
    for line in lines:
        line["fewer_trials"] = line["n_trials"] < largest[line["task"]]


def _unequal_epochs(lines: Sequence[Line]) -> list[str]:
    epochs: dict[str, set[int]] = defaultdict(set)
    for line in lines:
        epochs[line["task"]].add(line["n_epochs"])
    return [
        f"trained for different numbers of epochs on {task}: {', '.join(map(str, sorted(found)))}"
        for task, found in epochs.items()
        if len(found) > 1
    ]


def _tell_repeats_apart(lines: Sequence[Line], suffix: str) -> None:
    """Name the study too where a method has several on one task: other epochs, other settings."""
    counts = Counter((line["task"], line["method"]) for line in lines)
    for line in lines:
        n_studies = counts[line["task"], line["method"]]
        line["label"] = study_label(line["method"], line["study"], n_studies) + suffix


def _place(line: Line) -> tuple[Any, ...]:
    score = line[f"test_{PRIMARY.name}"]
    undefined = score != score
    rank = 0.0 if undefined else (-score if PRIMARY.higher_is_better else score)
    return (*task_order(line), line["task"], undefined, rank, line["label"])


def _n_ok(rows: Iterable[Row]) -> int:
    return sum(row["status"] == "ok" for row in rows)
