"""Rows to the leaderboard: one line per study that was searched and confirmed.

The columns of `Leaderboard.frame` are the columns of its CSV and JSON; scores are fractions.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lmd_bench.errors import UserError
from lmd_bench.leaderboard.row_views import grouped_views
from lmd_bench.leaderboard.select import VAL_BALANCED_ACCURACY, SelectionRule, best_row
from lmd_bench.leaderboard.statistics import spread
from lmd_bench.metrics import METRICS
from lmd_bench.results import open_store
from lmd_bench.row_files import ORDER, ordered

Row = Mapping[str, Any]  # a dict, or a view of a row
Line = dict[str, Any]
PRIMARY = METRICS["balanced_accuracy"]
SCORES = ("balanced_accuracy", "macro_f1", "many_recall", "medium_recall", "few_recall")
TASK_COLUMNS = (
    *("dataset", "protocol", "imbalance_factor", "image_size"),
    *("split_seed", "n_max", "task_fingerprint"),
)
BY_HAND = "single"  # the phase of a trial by hand, which belongs to no study
STUDY_COLUMNS = (*TASK_COLUMNS, "method", "study")  # rows with these equal are of one study
_READ = (
    *(*STUDY_COLUMNS, *ORDER, "status", "is_default", "source_key", "class_names", "n_epochs"),
    *("val_balanced_accuracy", *(f"test_{name}" for name in SCORES)),
    *("seconds", "standalone_seconds"),
)
LINE_COLUMNS = (
    *("task", *TASK_COLUMNS, "n_classes", "chance", "method", "study", "label", "n_epochs"),
    *(f"test_{name}{suffix}" for name in SCORES for suffix in ("", "_sd")),
    *("n_seeds", "n_seeds_failed"),
    *(f"default_test_{name}{suffix}" for name in SCORES[:2] for suffix in ("", "_sd")),
    *("default_n_seeds", "default_n_seeds_failed", "default_was_selected"),
    *("val_balanced_accuracy", "n_trials", "n_trials_ok", "fewer_trials"),
    *("seconds", "standalone_seconds", "selected_key"),
)


@dataclass(frozen=True)
class Leaderboard:
    """What `tables` prints."""

    frame: pd.DataFrame  # one line per confirmed study, best first within its task
    notes: tuple[str, ...]  # sentences on what is missing, failed or unequal
    rule: SelectionRule


def load(root: Path, rule: SelectionRule = VAL_BALANCED_ACCURACY) -> Leaderboard:
    """Return the leaderboard of a results folder.

    Raises:
        UserError: no results there, none that can be read, or those of another version.
    """
    scan = open_store(root).scan((*_READ, *rule.columns))
    damaged = scan.damaged
    names = ", ".join(path.relative_to(root).as_posix() for path in damaged)
    if not scan.table.num_rows:
        broken = f" but files that cannot be read ({names})" if damaged else ""
        raise UserError(
            f"There are no rows in {root}{broken}; run lmd-bench search first, or name another "
            "folder with --results."
        )
    note = (f"left out, cannot be read: {names}; run the same search again to redo it",)
    numbers = ordered(scan.table)
    of_studies = np.asarray(scan.table["phase"])[numbers] != BY_HAND
    studies = grouped_views(scan.table, STUDY_COLUMNS, numbers[of_studies])
    return build_studies(studies, rule, notes=note if damaged else ())


def build(
    rows: Iterable[Row], rule: SelectionRule = VAL_BALANCED_ACCURACY, notes: tuple[str, ...] = ()
) -> Leaderboard:
    """Return the leaderboard of rows; a study without confirmation becomes a note.

    `notes` come first among the notes.
    """
    studies: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if row["phase"] != BY_HAND:
            studies[tuple(row[name] for name in STUDY_COLUMNS)].append(row)
    return build_studies(studies.values(), rule, notes)


def build_studies(
    studies: Iterable[Sequence[Row]],
    rule: SelectionRule = VAL_BALANCED_ACCURACY,
    notes: tuple[str, ...] = (),
) -> Leaderboard:
    """Return the leaderboard of the rows of each study, as `build` does."""
    lines: list[Line] = []
    found = list(notes)
    for study in studies:
        line, study_notes = _study_line(study, rule)
        lines += [line] if line else []
        found += study_notes
    _mark_smaller_studies(lines)
    _tell_repeats_apart(lines)
    found += _unequal_epochs(lines)
    lines.sort(key=_place)
    return Leaderboard(pd.DataFrame(lines, columns=pd.Index(LINE_COLUMNS)), tuple(found), rule)


def task_label(row: Row) -> str:
    """Return how a task is called in tables, like `ham10000 · balanced · IF 100 · 64 px · 3fa2`."""
    factor = row["imbalance_factor"]
    parts = [row["dataset"], row["protocol"], "natural" if factor is None else f"IF {factor:g}"]
    parts += [f"n_max {row['n_max']}"] if row["n_max"] is not None else []
    parts += [f"split {row['split_seed']}"] if row["split_seed"] else []
    return " · ".join([*parts, f"{row['image_size']} px", row["task_fingerprint"][:8]])


def _study_line(study: Sequence[Row], rule: SelectionRule) -> tuple[Line | None, list[str]]:
    trials = [row for row in study if row["phase"] == "search"]
    selected = best_row(trials, rule)
    name = f"{study[0]['method']} on {task_label(study[0])}"
    if selected is None:
        return None, [f"searched, no trial finished: {name} ({_outcomes(trials)})"]
    tuned = _confirmation(study, selected)
    if not tuned:
        stale = any(row["phase"] == "confirm" and row["source_key"] for row in study)
        why = "; only other configurations are confirmed" if stale else ""
        return None, [f"searched, not confirmed: {name} ({_outcomes(trials)}{why})"]
    defaults = [row for row in trials if row["is_default"]]
    default = min(defaults, key=lambda row: row["trial_number"]) if defaults else None
    default_runs = _confirmation(study, default) if default else []
    line: Line = {"task": task_label(selected)}
    line |= {column: selected[column] for column in TASK_COLUMNS}
    n_classes = len(selected["class_names"])
    line |= {"n_classes": n_classes, "chance": 1 / n_classes}
    line |= {column: selected[column] for column in ("method", "study", "n_epochs")}
    line |= _scores(tuned, "test", SCORES)
    line |= _scores(default_runs, "default_test", SCORES[:2])
    line["default_was_selected"] = default is not None and default["key"] == selected["key"]
    line["val_balanced_accuracy"] = selected["val_balanced_accuracy"]
    line |= {"n_trials": len(trials), "n_trials_ok": _n_ok(trials), "fewer_trials": False}
    line["seconds"] = sum(row["seconds"] for row in study)
    line["standalone_seconds"] = sum(row["standalone_seconds"] for row in study)
    line["selected_key"] = selected["key"]
    runs = {"tuned": tuned, "default": [] if line["default_was_selected"] else default_runs}
    notes = [
        f"the {which} configuration did not finish with every seed: {name} ({_outcomes(found)})"
        for which, found in runs.items()
        if _n_ok(found) < len(found)
    ]
    return line, notes


def _confirmation(study: Sequence[Row], source: Row) -> list[Row]:
    return [
        row for row in study if row["phase"] == "confirm" and row["source_key"] == source["key"]
    ]


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


def _tell_repeats_apart(lines: Sequence[Line]) -> None:
    """Name the study too where a method has several on one task: other epochs, other settings."""
    counts = Counter((line["task"], line["method"]) for line in lines)
    for line in lines:
        repeated = counts[line["task"], line["method"]] > 1
        line["label"] = f"{line['method']} [{line['study']}]" if repeated else line["method"]


def _place(line: Line) -> tuple[Any, ...]:
    score = line[f"test_{PRIMARY.name}"]
    undefined = score != score
    rank = 0.0 if undefined else (-score if PRIMARY.higher_is_better else score)
    factor = line["imbalance_factor"] or 0.0
    task = (line["dataset"], line["protocol"], factor, line["image_size"], line["task"])
    return (*task, undefined, rank, line["label"])


def _n_ok(rows: Iterable[Row]) -> int:
    return sum(row["status"] == "ok" for row in rows)


def _outcomes(rows: Sequence[Row]) -> str:
    """Return `8 trials`, or `8 trials: 5 ok, 3 diverged` where some failed."""
    counts = Counter(row["status"] for row in rows)
    kind = "trial" if rows and rows[0]["phase"] == "search" else "run"
    total = f"{len(rows)} {kind}{'' if len(rows) == 1 else 's'}"
    if set(counts) <= {"ok"}:
        return total
    parts = sorted(counts.items(), key=lambda item: (item[0] != "ok", item[0]))
    return f"{total}: " + ", ".join(f"{n} {status}" for status, n in parts)
