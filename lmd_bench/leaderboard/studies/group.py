"""Rows grouped into studies: the trials of one method on one task, and their confirmations."""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import NO_CALIBRATION, OF_A_STUDY, TASK_COLUMNS, Row
from lmd_bench.core.text import encoder_label, task_label
from lmd_bench.leaderboard.studies.rules import SelectionRule, best_row
from lmd_bench.store.store import FOLDER

FACTOR_RANGE = "factor_range"  # not empty in rows whose study draws the factor of each trial
STUDY_COLUMNS = (*TASK_COLUMNS, "method", "study")  # rows with these equal are of one study
_OF_DATA = ("dataset", "protocol", "imbalance_factor", "image_size", "n_max")


@dataclass(frozen=True, eq=False)
class StudyRows:
    """The rows of one study, and what it is called."""

    task: str  # as tables call it, with the encoder where that is not the usual one
    method: str
    study: str
    label: str  # the method; with the study where a method has several on one task
    rows: tuple[Row, ...]
    # Trials of the search of its stage 1, which it chose encoders among; none of a joint search.
    stage1_trials: tuple[Row, ...] = ()

    @cached_property
    def trials(self) -> list[Row]:
        """Return the search rows in the order of their numbers."""
        searched = [row for row in self.rows if row["phase"] == "search"]
        return sorted(searched, key=lambda row: (row["trial_number"], row["key"]))

    @cached_property
    def default(self) -> Row | None:
        """Return the search row of the default configuration; None where there is none."""
        return next((row for row in self.trials if row["is_default"]), None)

    @cached_property
    def is_confirmed(self) -> bool:
        """Return whether any configuration of it was retrained, or tried to be."""
        return any(row["phase"] == "confirm" for row in self.rows)

    def runs(self, source: Row | None) -> list[Row]:
        """Return the confirmation runs of a search row, failed ones too."""
        return [] if source is None else list(self._runs.get(source["key"], ()))

    @cached_property
    def _runs(self) -> dict[str, list[Row]]:
        """Return the confirmation runs by the key of their search row: asked for time and again."""
        runs: dict[str, list[Row]] = {}
        for row in self.rows:
            if row["phase"] == "confirm":
                runs.setdefault(row["source_key"], []).append(row)
        return runs

    def ok_runs(self, source: Row | None) -> dict[int, Row]:
        """Return the confirmation runs of a search row that ended well, by seed."""
        runs = sorted(self.runs(source), key=lambda row: row["seed"])
        return {int(row["seed"]): row for row in runs if row["status"] == "ok"}

    def selected(self, rule: SelectionRule) -> Row | None:
        """Return the search row that a rule selects; None if no trial ended well."""
        if rule not in self._selected:
            self._selected[rule] = best_row(self.rows, rule)
        return self._selected[rule]

    @cached_property
    def _selected(self) -> dict[SelectionRule, Row | None]:
        return {}


def of_studies(rows: Iterable[Row], text: str) -> list[Row]:
    """Return the rows of the studies whose id holds a text, such as `if100`.

    Raises:
        UserError: there are rows, and none is of such a study.
    """
    rows = list(rows)
    ids = holding(text, {row["study"] for row in rows})
    return [row for row in rows if row["study"] in ids]


def holding(text: str, ids: Collection[str]) -> set[str]:
    """Return the ids of studies that hold a text.

    Raises:
        UserError: there are ids, and none does.
    """
    chosen = {study for study in ids if text in study}
    if ids and not chosen:
        raise UserError(
            f"No study here has an id that holds '{text}'; ids are like {min(ids)}, and --study "
            "takes any part of them."
        )
    return chosen


def group_studies(rows: Iterable[Row]) -> list[StudyRows]:
    """Return the studies of rows, in the order they first appear.

    Trials by hand and transferred configs belong to none. Studies over a range of imbalance factors
    are of no one task, and stand elsewhere.
    """
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if row["phase"] in OF_A_STUDY and not row.get(FACTOR_RANGE):
            groups[tuple(row[name] for name in STUDY_COLUMNS)].append(row)
    return named_studies(groups.values())


def named_studies(groups: Iterable[Sequence[Row]]) -> list[StudyRows]:
    """Return studies of rows that are grouped already."""
    rows_of_studies = list(groups)
    names = [(_heading(rows[0]), rows[0]["method"]) for rows in rows_of_studies]
    counts = Counter(names)
    studies = [
        StudyRows(
            task=task,
            method=method,
            study=rows[0]["study"],
            label=study_label(method, rows[0]["study"], counts[task, method]),
            rows=tuple(rows),
        )
        for (task, method), rows in zip(names, rows_of_studies, strict=True)
    ]
    return _with_stage1(studies)


def _with_stage1(studies: Sequence[StudyRows]) -> list[StudyRows]:
    """Return the studies, those of a stage 2 with the trials of the search that they stand on.

    Only a trial on a ranked encoder stands on another search, and the encoder says on which. Rows
    of a few columns do not say it.
    """
    searches: dict[str, StudyRows] = {}
    for study in studies:
        # All trials of a study have one stage 2; of 100,000 rows, few are looked at here.
        if study.trials and study.trials[0].get("calibration") == NO_CALIBRATION:
            for row in study.trials:
                if key := row.get("encoder_key"):
                    searches.setdefault(key, study)
    linked: list[StudyRows] = []
    for study in studies:
        ranked: Iterable[Row] = ()
        if study.trials and study.trials[0].get("calibration") != NO_CALIBRATION:
            ranked = (row for row in study.trials if row.get("encoder_rank") is not None)
        bases = (searches.get(row.get("encoder_key", "")) for row in ranked)
        base = next((base for base in bases if base is not None and base is not study), None)
        if base is not None:
            study = replace(study, stage1_trials=_chosen_among(study, base))
        linked.append(study)
    return linked


def _chosen_among(study: StudyRows, base: StudyRows) -> tuple[Row, ...]:
    """Return the trials of another search whose encoders a study chose among: all, or the first."""
    # A budget only grows, so the last trial knows the largest.
    n = study.trials[-1].get("n_stage1_trials")
    return tuple(base.trials if n is None else base.trials[:n])


def _heading(row: Row) -> str:
    """Return the name of a table; methods on other encoders have one of their own."""
    return " · ".join(filter(None, (task_label(row), encoder_label(row))))


def by_task(studies: Iterable[StudyRows]) -> dict[str, list[StudyRows]]:
    """Return the studies of each task, the tasks of one data set by rising imbalance factor."""
    tasks: dict[str, list[StudyRows]] = defaultdict(list)
    for study in studies:
        tasks[study.task].append(study)
    return dict(sorted(tasks.items(), key=lambda item: task_order(item[1][0].rows[0])))


def by_factor(studies: Iterable[StudyRows]) -> list[StudyRows]:
    """Return studies in the order of their tasks: those of one data set by rising factor."""
    return sorted(studies, key=lambda study: task_order(study.rows[0]))


def by_table(studies: Iterable[StudyRows]) -> dict[str, list[StudyRows]]:
    """Return the studies of each task, tasks on which one search is repeated as one.

    Such tasks differ in their split alone, and are called by how many there are.
    """
    tasks = by_task(studies)
    versions = versions_of(members[0].rows[0] for members in tasks.values())
    alike: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for task, members in tasks.items():
        row = members[0].rows[0]
        alike[data_of(row), encoder_label(row)].append(task)
    tables: dict[str, list[StudyRows]] = {}
    for (data, _), names in alike.items():
        members = [study for name in names for study in tasks[name]]
        repeats = any(len({study.task for study in of}) > 1 for of in repeated(members))
        if repeats and data not in versions:
            row = members[0].rows[0]
            seed, print_ = row["split_seed"], row["task_fingerprint"]
            tables[over_splits_label(names[0], seed, print_, len(names))] = members
        else:
            tables |= {name: tasks[name] for name in names}
    return tables


def data_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what the tasks have in common that are splits of one data set."""
    return tuple(row[name] for name in _OF_DATA)


def versions_of(rows: Iterable[Row]) -> dict[tuple[Any, ...], list[str]]:
    """Return the data of which one split seed gave several tasks, with what these are called.

    Such tasks are versions of the data and no splits. Of its other split seeds nobody can tell
    which version they are of.
    """
    named: dict[tuple[tuple[Any, ...], int], dict[str, str]] = defaultdict(dict)
    for row in rows:
        named[data_of(row), row["split_seed"]][row["task_fingerprint"]] = task_label(row)
    versions: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for (data, _), tasks in named.items():
        versions[data] += sorted(tasks.values()) if len(tasks) > 1 else []
    return {data: tasks for data, tasks in versions.items() if tasks}


def over_splits_label(task: str, split_seed: int, fingerprint: str, n_splits: int) -> str:
    """Return how several splits are called together: as one of them, without what names it."""
    named = (fingerprint[:8], f"split {split_seed}")
    parts = [part for part in task.split(" · ") if part not in named]
    return " · ".join([*parts, f"{n_splits} splits"])


def repeated(studies: Iterable[StudyRows]) -> list[tuple[StudyRows, ...]]:
    """Return the studies of one table, those that repeat one search with other seeds together."""
    groups: dict[str, list[StudyRows]] = defaultdict(list)
    for study in studies:
        # Of one task each study has a label of its own; on another split it is the same method.
        # Retrainings by `lmd-bench confirm` of earlier versions do not say what they repeat.
        searched = (study.trials or study.rows)[0]
        groups[searched.get("repeat_of") or study.label].append(study)
    return [tuple(members) for members in groups.values()]


def called(repeats: Sequence[StudyRows]) -> str:
    """Return what the repeats of one search are called together."""
    return repeats[0].label if len(repeats) == 1 else repeats[0].method


def task_order(row: Row) -> tuple[Any, ...]:
    """Return what tasks are ordered by: natural data come first, then the factor rises."""
    factor = row["imbalance_factor"] or 0.0
    return (row["dataset"], row["protocol"], factor, row["image_size"], row["task_fingerprint"])


def study_label(method: str, study: str, n_studies: int) -> str:
    """Return the method's name, with the study where the method has several on one task."""
    return f"{method} [{study}]" if n_studies > 1 else method


def outcomes(rows: Sequence[Row]) -> str:
    """Return `8 trials`, or `8 trials: 5 ok, 3 diverged` where some failed."""
    counts = Counter(row["status"] for row in rows)
    kind = "trial" if rows and rows[0]["phase"] == "search" else "run"
    total = f"{len(rows)} {kind}{'' if len(rows) == 1 else 's'}"
    if set(counts) <= {"ok"}:
        return total
    parts = sorted(counts.items(), key=lambda item: (item[0] != "ok", item[0]))
    return f"{total}: " + ", ".join(f"{n} {status}" for status, n in parts)


def ablated_studies(root: Path) -> frozenset[str]:
    """Return the ids of the studies that the ablations of a results folder have as their cells.

    A cell is a method taken apart, not a competitor, and has no budget of its own. A file that
    cannot be read names none; `lmd-bench ablate --table` says what is wrong with it.
    """
    ids: set[str] = set()
    for path in sorted((root / FOLDER).glob("[!.]*.json")):
        try:
            tasks: list[Mapping[str, Any]] = json.loads(path.read_text())["tasks"]
            ids.update(str(study) for task in tasks for study in task["studies"].values())
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return frozenset(ids)


def left_out(cells: frozenset[str], studies: frozenset[str]) -> tuple[str, ...]:
    """Return the note on the cells among some studies; none for none."""
    n = len(cells & studies)
    cell = "cell" if n == 1 else "cells"
    return (f"left out: {n} {cell} of ablations; lmd-bench ablate --table shows them",) if n else ()
