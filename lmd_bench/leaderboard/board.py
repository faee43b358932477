"""Rows to the leaderboard: one line per study that was searched and confirmed.

The columns of `Leaderboard.frame` are the columns of its CSV and JSON; scores are fractions.
"""

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lmd_bench.errors import UserError
from lmd_bench.leaderboard.budget import Budget, within
from lmd_bench.leaderboard.row_views import grouped_views
from lmd_bench.leaderboard.select import VAL_BALANCED_ACCURACY, SelectionRule
from lmd_bench.leaderboard.statistics import spread
from lmd_bench.leaderboard.studies import (
    BY_HAND,
    STUDY_COLUMNS,
    TASK_COLUMNS,
    Row,
    StudyRows,
    group_studies,
    named_studies,
    outcomes,
    study_label,
)
from lmd_bench.leaderboard.val_counts import with_val_counts
from lmd_bench.metrics import METRICS
from lmd_bench.results import open_store
from lmd_bench.row_files import ORDER, ordered

Line = dict[str, Any]
PRIMARY = METRICS["balanced_accuracy"]
SCORES = ("balanced_accuracy", "macro_f1", "many_recall", "medium_recall", "few_recall")
_READ = (
    *(*STUDY_COLUMNS, *ORDER, "status", "is_default", "source_key", "class_names", "n_epochs"),
    *("val_balanced_accuracy", *(f"test_{name}" for name in SCORES)),
    *("seconds", "standalone_seconds", "gpu_share"),
)
LINE_COLUMNS = (
    *("task", *TASK_COLUMNS, "n_classes", "chance", "method", "study", "label", "n_epochs"),
    *(f"test_{name}{suffix}" for name in SCORES for suffix in ("", "_sd")),
    *("n_seeds", "n_seeds_failed"),
    *(f"default_test_{name}{suffix}" for name in SCORES[:2] for suffix in ("", "_sd")),
    *("default_n_seeds", "default_n_seeds_failed", "default_was_selected"),
    *("val_balanced_accuracy", "n_trials", "n_trials_ok", "fewer_trials"),
    *("seconds", "standalone_seconds", "selected_key", "rule"),
)


@dataclass(frozen=True)
class Leaderboard:
    """What `tables` prints."""

    frame: pd.DataFrame  # one line per confirmed study, best first within its task
    notes: tuple[str, ...]  # sentences on what is missing, failed or unequal
    rule: SelectionRule
    budget: Budget | None = None  # of every study; None: all trials


def load(
    root: Path, rule: SelectionRule = VAL_BALANCED_ACCURACY, budget: Budget | None = None
) -> Leaderboard:
    """Return the leaderboard of a results folder.

    Args:
        root: Folder of the results.
        rule: What selects the configuration of each study, replayed from its rows.
        budget: What each study may have cost; later trials are not looked at.

    Raises:
        UserError: no results there, none that can be read, or those of another version.
    """
    store = open_store(root)
    scan = store.scan((*_READ, *rule.columns))
    damaged = scan.damaged
    if not scan.table.num_rows:
        broken = f" but files that cannot be read ({_names(damaged, root)})" if damaged else ""
        raise UserError(
            f"There are no rows in {root}{broken}; run lmd-bench search first, or name another "
            "folder with --results."
        )
    numbers = ordered(scan.table)
    of_studies = np.asarray(scan.table["phase"])[numbers] != BY_HAND
    groups: Iterable[Sequence[Row]] = grouped_views(scan.table, STUDY_COLUMNS, numbers[of_studies])
    if rule.needs_val_counts:
        groups = [with_val_counts(store, group) for group in groups]
    results = f" --results {shlex.quote(str(root))}"
    return build_studies(named_studies(groups), rule, unreadable(damaged, root), budget, results)


def unreadable(damaged: Sequence[Path], root: Path) -> tuple[str, ...]:
    """Return the note on files of a results folder that cannot be read; none for none."""
    note = (
        f"left out, cannot be read: {_names(damaged, root)}; run the same search again to redo it"
    )
    return (note,) if damaged else ()


def build(
    rows: Iterable[Row],
    rule: SelectionRule = VAL_BALANCED_ACCURACY,
    notes: tuple[str, ...] = (),
    budget: Budget | None = None,
    results: str = "",
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
    """
    return build_studies(group_studies(rows), rule, notes, budget, results)


def build_studies(
    studies: Iterable[StudyRows],
    rule: SelectionRule,
    notes: tuple[str, ...] = (),
    budget: Budget | None = None,
    results: str = "",
) -> Leaderboard:
    """Return the leaderboard of studies, as `build` does."""
    lines: list[Line] = []
    found = list(notes)
    for study in studies:
        if budget is not None:
            study, shorter = within(study, budget)
            found += shorter
        line, study_notes = _study_line(study, rule, results)
        lines += [line] if line else []
        found += study_notes
    if budget is None or budget.unit == "trials":  # hours pay for as many as they do
        _mark_smaller_studies(lines)
    _tell_repeats_apart(lines, " (chosen on test)" if rule.watermark else "")
    found += _unequal_epochs(lines)
    lines.sort(key=_place)
    return Leaderboard(
        pd.DataFrame(lines, columns=pd.Index(LINE_COLUMNS)), tuple(found), rule, budget
    )


def _study_line(
    study: StudyRows, rule: SelectionRule, results: str
) -> tuple[Line | None, list[str]]:
    trials = study.trials
    selected = study.selected(rule)
    name = f"{study.method} on {study.task}"
    if not trials:
        return None, [f"no trial within the budget: {name}"]
    if selected is None:
        why = f"no trial that {rule.name} can judge" if _n_ok(trials) else "no trial finished"
        return None, [f"searched, {why}: {name} ({outcomes(trials)})"]
    tuned = study.runs(selected)
    if not tuned and not any(row["phase"] == "confirm" for row in study.rows):
        return None, [f"searched, not confirmed: {name} ({outcomes(trials)})"]
    default = study.default
    runs = {"tuned": tuned, "default": study.runs(default)}
    line = _line(study, selected, runs, rule)
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
            f"lmd-bench confirm {selected['key']}{results} fills it"
        )
    return line, notes


def _line(study: StudyRows, selected: Row, runs: dict[str, list[Row]], rule: SelectionRule) -> Line:
    trials, default = study.trials, study.default
    line: Line = {"task": study.task}
    line |= {column: selected[column] for column in TASK_COLUMNS}
    n_classes = len(selected["class_names"])
    line |= {"n_classes": n_classes, "chance": 1 / n_classes}
    line |= {column: selected[column] for column in ("method", "study", "n_epochs")}
    line |= _scores(runs["tuned"], "test", SCORES)
    line |= _scores(runs["default"], "default_test", SCORES[:2])
    line["default_was_selected"] = default is not None and default["key"] == selected["key"]
    line["val_balanced_accuracy"] = selected["val_balanced_accuracy"]
    line |= {"n_trials": len(trials), "n_trials_ok": _n_ok(trials), "fewer_trials": False}
    line["seconds"] = sum(row["seconds"] for row in study.rows)
    line["standalone_seconds"] = sum(row["standalone_seconds"] for row in study.rows)
    return line | {"selected_key": selected["key"], "rule": rule.name}


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
    factor = line["imbalance_factor"] or 0.0
    task = (line["dataset"], line["protocol"], factor, line["image_size"], line["task"])
    return (*task, undefined, rank, line["label"])


def _names(paths: Sequence[Path], root: Path) -> str:
    return ", ".join(path.relative_to(root).as_posix() for path in paths)


def _n_ok(rows: Iterable[Row]) -> int:
    return sum(row["status"] == "ok" for row in rows)
