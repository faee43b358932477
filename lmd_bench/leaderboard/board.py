"""Rows to the leaderboard: one line per study that was searched and confirmed.

The columns of `Leaderboard.frame` are the columns of its CSV and JSON; scores are fractions.
"""

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan
from pathlib import Path
from typing import Any

import pandas as pd

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import ENCODER_COLUMNS, TASK_COLUMNS, Row
from lmd_bench.leaderboard.imbalance.over_range import RangeStudy, range_lines, range_studies
from lmd_bench.leaderboard.leaders import leaders_of
from lmd_bench.leaderboard.line import HEADLINES, SCORES, BoardLine, line_columns
from lmd_bench.leaderboard.missing import Gap, gaps_of, never_searched, notes_of
from lmd_bench.leaderboard.repeats import Measured, pooled
from lmd_bench.leaderboard.studies.budget import Budget, within
from lmd_bench.leaderboard.studies.group import (
    STUDY_COLUMNS,
    StudyRows,
    group_studies,
    holding,
    named_studies,
    outcomes,
    study_label,
    task_order,
    versions_of,
)
from lmd_bench.leaderboard.studies.measure import measure_alone
from lmd_bench.leaderboard.studies.predictions import Judged, judged_runs
from lmd_bench.leaderboard.studies.read import read_grouped
from lmd_bench.leaderboard.studies.rules import VAL_BALANCED_ACCURACY, SelectionRule
from lmd_bench.leaderboard.studies.scores import metric_spreads
from lmd_bench.leaderboard.tables.render import Leaderboard
from lmd_bench.stats.joint import Joint, joint
from lmd_bench.stats.metrics import PRIMARY
from lmd_bench.stats.spread import Spread, spread
from lmd_bench.store.from_logits import columns_of_metrics
from lmd_bench.store.row_files import ORDER
from lmd_bench.store.store import Store

CHOSEN_ON_TEST = " (chosen on test)"  # ends labels where a rule looked at test
_READ = (
    *(
        *STUDY_COLUMNS,
        *ENCODER_COLUMNS,
        "encoder_seen",
        *ORDER,
        "status",
        "is_default",
        "source_key",
        "class_names",
        "class_counts",
        "groups",
        "n_epochs",
    ),
    *("test_counts", "repeat_of", "calibration", "encoder_key", "encoder_rank"),
    *("n_stage1_trials", "n_searched", "n_swept"),
    *("val_balanced_accuracy", *(f"test_{name}" for name in SCORES), "command"),
    *(
        "seconds",
        "standalone_seconds",
        "gpu_share",
        "energy_joules",
        "best_epoch",
        "full_objective_share",
    ),
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
    study: str = "",
) -> Leaderboard:
    """Return the leaderboard of a results folder.

    Args:
        root: Folder of the results.
        rule: What selects the configuration of each study, replayed from its rows.
        budget: What each study may have cost; later trials are not looked at.
        metrics: Further metrics on test, from the rows or their logits.
        study: Studies whose id does not hold this text are left out.

    Raises:
        UserError: no results there, none that can be read, those of another version, or no such
            study.
    """
    columns = (*_READ, *rule.columns, *columns_of_metrics(metrics))
    store, groups, over_range, notes = read_grouped(root, rule, columns)
    results = f" --results {shlex.quote(str(root))}"
    wanted = _Wanted(rule, budget, results, metrics, store)
    ids = holding(study, {rows[0]["study"] for rows in groups} | {r["study"] for r in over_range})
    studies = named_studies(rows for rows in groups if rows[0]["study"] in ids)
    over_range = [row for row in over_range if row["study"] in ids]
    return _build(studies, range_studies(over_range), wanted, notes)


def build(
    rows: Sequence[Row],
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
    return _build(group_studies(rows), range_studies(rows), wanted, notes)


def _build(
    studies: Sequence[StudyRows],
    over_range: Sequence[RangeStudy],
    wanted: _Wanted,
    notes: tuple[str, ...],
) -> Leaderboard:
    rule, budget, results = wanted.rule, wanted.budget, wanted.results
    lines: list[BoardLine] = []
    judged: list[tuple[StudyRows, Judged | None]] = []
    gaps: list[Gap] = []
    all_notes = list(notes)
    for study in studies:
        if budget is not None:
            study, notes_on_budget = within(study, budget)
            all_notes += notes_on_budget
        selected = study.selected(rule)
        if selected is None:
            all_notes.append(_unselected(study, rule))
            continue
        # a study that nobody confirmed has no line; what to run for it is said below, once
        if not study.is_confirmed:
            continue
        runs = _judged(study, selected, wanted)
        judged.append((study, runs))
        line = _line(study, selected, wanted, runs)
        lines.append(line)
        study_gaps = gaps_of(study, rule, results, can_confirm=True)
        gaps += study_gaps
        all_notes += _notes(study, selected, line, study_gaps)
    with_seeds = {study.task for study in studies if study.is_confirmed}
    further = [
        gap
        for study in studies
        if not study.is_confirmed
        for gap in gaps_of(study, rule, results, can_confirm=study.task in with_seeds)
    ]
    further += never_searched(studies, lines, results)
    all_notes += notes_of(further, results)
    measured = [
        Measured(line, study, runs)
        for line, (study, runs) in zip(_beside_others(lines, rule, budget), judged, strict=True)
    ]
    versions = versions_of(study.rows[0] for study in studies)
    lines, not_compared = _with_best(pooled(measured, versions))
    all_notes += not_compared
    all_notes += [
        f"of one split seed and unlike images or splits, so kept apart: {', '.join(tasks)}"
        for tasks in versions.values()
    ]
    all_notes += _unequal_epochs(lines)
    all_notes += _may_have_seen(studies)
    lines.sort(key=_place)
    return Leaderboard(
        pd.DataFrame(
            [line.cells() for line in lines], columns=pd.Index(line_columns(wanted.metrics))
        ),
        tuple(dict.fromkeys(all_notes)),
        rule,
        budget,
        tuple(wanted.metrics),
        (*gaps, *further),
        # A budget is of one task's table; a range has one of its own.
        tuple(range_lines(over_range, studies, rule, wanted.store)) if budget is None else (),
    )


def _unselected(study: StudyRows, rule: SelectionRule) -> str:
    name = f"{study.method} on {study.task}"
    if not study.trials:
        before = len(study.stage1_trials)
        why = f" (the search of its stage 1 has {before} trials)" if before else ""
        return f"no trial within the budget: {name}{why}"
    ended_well = any(row["status"] == "ok" for row in study.trials)
    why = f"no trial that {rule.name} can judge" if ended_well else "no trial finished"
    return f"searched, {why}: {name} ({outcomes(study.trials)})"


def _line(study: StudyRows, selected: Row, wanted: _Wanted, judged: Judged | None) -> BoardLine:
    tuned, trials, default = study.runs(selected), study.trials, study.default
    default_was_selected = default is not None and default["key"] == selected["key"]
    n_classes = len(selected["class_names"])
    ok, default_ok = _ok(tuned), _ok(study.runs(default))
    return BoardLine(
        task=study.task,
        **{column: selected[column] for column in TASK_COLUMNS},
        n_classes=n_classes,
        n_train=sum(selected["class_counts"]),
        n_largest=max(selected["class_counts"], default=0),
        # Classes without a test image are in no mean of recalls.
        chance=1 / (n_classes - len(_untested(selected, ok))),
        method=selected["method"],
        study=selected["study"],
        n_epochs=selected["n_epochs"],
        test=_spreads(ok, SCORES),
        joint=_joint(study, selected, judged),
        n_seeds=len(ok),
        n_seeds_failed=len(tuned) - len(ok),
        default_test=_spreads(default_ok, HEADLINES),
        default_n_seeds=len(default_ok),
        default_n_seeds_failed=len(study.runs(default)) - len(default_ok),
        default_was_selected=default_was_selected,
        val_balanced_accuracy=selected["val_balanced_accuracy"],
        n_stage1_trials=len(study.stage1_trials),
        n_trials=len(trials),
        n_trials_ok=len(_ok(trials)),
        n_stage1_searched=_stored(study.stage1_trials, "n_searched"),
        n_searched=_stored(trials, "n_searched"),
        n_swept=_stored(trials, "n_swept"),
        seconds=sum(row["seconds"] for row in study.rows),
        standalone_seconds=sum(
            row["standalone_seconds"] for row in (*study.stage1_trials, *study.rows)
        ),
        selected_key=selected["key"],
        rule=wanted.rule.name,
        budget="" if wanted.budget is None else wanted.budget.description,
        watermark=wanted.rule.watermark,
        asked=metric_spreads(ok, wanted.metrics, wanted.store),
        repeat_of=selected["repeat_of"] or "",
    )


def _untested(selected: Row, runs: Sequence[Row]) -> list[str]:
    """Return the classes without a test image; none where rows of earlier versions do not say."""
    counts = next((run["test_counts"] for run in runs if run["test_counts"] is not None), None)
    if counts is None:
        return []
    return [name for name, n in zip(selected["class_names"], counts, strict=True) if not n]


def _judged(study: StudyRows, selected: Row, wanted: _Wanted) -> Judged | None:
    """Return what the runs of the selected config got right; None where no logits are known."""
    runs = study.ok_runs(selected)
    if wanted.store is None or not runs:
        return None
    try:
        return judged_runs(wanted.store, study.label, runs, selected)
    except UserError:  # one damaged file costs an interval, not the leaderboard
        return None


def _joint(study: StudyRows, selected: Row, judged: Judged | None) -> Joint:
    """Return balanced accuracy with its intervals; over retrainings alone without logits."""
    runs = study.ok_runs(selected)
    if judged is not None and set(judged.seeds) == set(runs):
        return measure_alone(judged)
    scores = [row[f"test_{PRIMARY.name}"] for row in runs.values()]
    return joint([nan if score is None else score for score in scores], None, "")


def _with_best(measured: Sequence[Measured]) -> tuple[list[BoardLine], list[str]]:
    """Return the lines, with which of each task leads or is not told apart from what leads.

    A note names what could not be compared with what leads: it bears no mark.
    """
    of_task: dict[str, list[Judged]] = defaultdict(list)
    for one in measured:
        of_task[one.line.task] += [] if one.judged is None else [one.judged]
    leaders = leaders_of(of_task)
    marked = {leader.task: leader.marked for leader in leaders}
    lines = [
        replace(
            one.line,
            with_best=one.judged is not None and one.judged.label in marked.get(one.line.task, ()),
        )
        for one in measured
    ]
    notes = [
        f"not compared with {leader.best.label}, which leads on {leader.task}, for lack of two "
        f"seeds or splits in common: {', '.join(leader.unknown)}"
        for leader in leaders
        if leader.unknown
    ]
    return lines, notes


def _stored(trials: Sequence[Row], name: str) -> int | None:
    """Return what the last trial stores in a column; None where it is of an earlier version."""
    return trials[-1].get(name) if trials else None


def _ok(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row["status"] == "ok"]


def _spreads(runs: Sequence[Row], names: Sequence[str]) -> dict[str, Spread]:
    return {name: spread([row[f"test_{name}"] for row in runs]) for name in names}


def _notes(study: StudyRows, selected: Row, line: BoardLine, gaps: Sequence[Gap]) -> list[str]:
    """Say what failed, is missing, was barely begun or is undefined in a line."""
    name = f"{study.method} on {study.task}"
    tuned = study.runs(selected)
    runs = {"tuned": tuned, "default": study.runs(study.default)}
    if line.default_was_selected:
        del runs["default"]
    notes = [
        f"the {which} configuration did not finish with every seed: {name} ({outcomes(rows)})"
        for which, rows in runs.items()
        if len(_ok(rows)) < len(rows)
    ]
    notes += [gap.note for gap in gaps if gap.note]
    if untested := _untested(selected, _ok(tuned)):
        notes.append(
            f"no test image of class {', '.join(untested)} on {study.task}: scores and chance are "
            "of the other classes"
        )
    return notes + _barely_begun(tuned, name) + _undefined(line, name)


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


def _undefined(line: BoardLine, name: str) -> list[str]:
    """Say which scores of a line are undefined although its runs ended well."""
    counts = {metric: score.n_undefined for metric, score in line.asked.items()}
    for metric, score in line.test.items():
        if metric not in counts and isnan(score.mean):
            counts[metric] = line.n_seeds
    if not line.n_seeds or not any(counts.values()):
        return []
    parts = [f"{metric} in {n} of {line.n_seeds}" for metric, n in counts.items() if n]
    return [f"undefined or not stored (–): {name}; {', '.join(parts)} runs"]


def _beside_others(
    lines: Sequence[BoardLine], rule: SelectionRule, budget: Budget | None
) -> list[BoardLine]:
    """Return the lines with what only the others of their task can say of them."""
    n_studies = Counter((line.task, line.method) for line in lines)
    largest: Counter[str] = Counter()
    for line in lines:
        largest[line.task] = max(largest[line.task], line.n_stage1_trials + line.n_trials)
    # hours pay for as many trials as they do
    counts_trials = budget is None or budget.unit == "trials"
    watermark = CHOSEN_ON_TEST if rule.watermark else ""
    return [
        replace(
            line,
            label=study_label(line.method, line.study, n_studies[line.task, line.method])
            + watermark,
            fewer_trials=counts_trials
            and line.n_stage1_trials + line.n_trials < largest[line.task],
        )
        for line in lines
    ]


def _unequal_epochs(lines: Sequence[BoardLine]) -> list[str]:
    epochs_of_task: dict[str, set[int]] = defaultdict(set)
    for line in lines:
        epochs_of_task[line.task].add(line.n_epochs)
    return [
        f"trained for different numbers of epochs on {task}: {', '.join(map(str, sorted(epochs)))}"
        for task, epochs in epochs_of_task.items()
        if len(epochs) > 1
    ]


def _may_have_seen(studies: Sequence[StudyRows]) -> list[str]:
    """Say on which tables the weights that methods began from may come from the test images."""
    doubts: dict[str, str] = {}
    for study in studies:
        for row in study.rows:
            if row.get("encoder_seen") in ("yes", "unknown"):
                doubts[study.task] = row["encoder_seen"]
    said = {
        "yes": "the weights that these methods began from come from the test images too",
        "unknown": "nobody has checked whether the weights that these methods began from come from "
        "the test images too",
    }
    return [f"{said[seen]}: {task}" for task, seen in doubts.items()]


def _place(line: BoardLine) -> tuple[Any, ...]:
    score = line.test[PRIMARY.name].mean
    rank = 0.0 if isnan(score) else (-score if PRIMARY.higher_is_better else score)
    return (*task_order(vars(line)), line.task, isnan(score), rank, line.label)
