"""Configs that were tuned on one task and used on another: a matrix for each method.

A cell holds the runs, on the confirmation seeds of the task where it is used, of the config that
the rule selects where it was tuned. What a run is of is told by its content, so a config that is
confirmed there already, such as a default, fills the cell. The loss is that against the config
tuned natively, on the same seeds and images: above 0, native tuning is better.
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isnan
from pathlib import Path
from typing import Any

import pandas as pd

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import JUDGED_ON_TEST, Row
from lmd_bench.core.text import factor_name
from lmd_bench.leaderboard.answer import Answer
from lmd_bench.leaderboard.studies.group import StudyRows, group_studies
from lmd_bench.leaderboard.studies.measure import measure
from lmd_bench.leaderboard.studies.predictions import (
    Clusters,
    clusters_of,
    judged_runs,
    same_images,
)
from lmd_bench.leaderboard.studies.rules import SelectionRule
from lmd_bench.leaderboard.tables.text import Part, Table, bounds, percent, with_bounds
from lmd_bench.stats.joint import Joint, joint, joint_columns
from lmd_bench.stats.spread import Spread, spread
from lmd_bench.store.store import Store

METRIC = "test_balanced_accuracy"
Content = tuple[Any, ...]  # what shapes a run, but for its seed
_PARTS = ("dataset", "protocol", "imbalance_factor", "n_max", "split_seed", "image_size")


@dataclass(frozen=True, eq=False)
class Tuned:
    """A method tuned on a task."""

    study: StudyRows
    selected: Row  # the search row whose config is selected
    seeds: tuple[int, ...]  # on which configs of this task are judged; empty: none yet

    @property
    def task(self) -> str:
        """Return the task's label."""
        return self.study.task


@dataclass(frozen=True, eq=False)
class Cell:
    """The config tuned on one task, used on another or on its own."""

    source: Tuned
    target: Tuned
    runs: Mapping[int, Row]  # seed -> row of status ok
    failed: Mapping[int, Row]  # seed -> row of another status
    same_config: bool  # as the natively tuned one

    @cached_property
    def spread(self) -> Spread:
        """Return mean, SD (n - 1) and count over the seeds that ended well."""
        return spread([row[METRIC] for row in self.runs.values()])

    @property
    def missing(self) -> tuple[int, ...]:
        """Return the seeds without a run."""
        ended = {*self.runs, *self.failed}
        return tuple(seed for seed in self.target.seeds if seed not in ended)


@dataclass(frozen=True, eq=False)
class Matrix:
    """All cells of one method at one number of epochs."""

    method: str
    n_epochs: int
    tuned: tuple[Tuned, ...]  # in the order of rows and of columns
    cells: Mapping[tuple[str, str], Cell]  # (tuned at, used at) -> cell


Losses = Mapping[tuple[str, str], Joint]  # native less transferred, paired


def content_of(row: Row, task_fingerprint: str | None = None) -> Content:
    """Return what shapes the run of a row but for its seed, on its own task or on another."""
    names = ("representation", "calibration", "n_epochs", "config_json", "versions_json")
    return (task_fingerprint or row["task_fingerprint"], *(row[name] for name in names))


def matrices(rows: Iterable[Row], rule: SelectionRule) -> tuple[list[Matrix], list[str]]:
    """Return the matrix of each method that was tuned on two tasks or more, and notes.

    Methods count apart by epochs of stage 1. Where one has several studies on a task, that of most
    trials stands for it, of equals the latest, and a note names the others.
    """
    rows = list(rows)
    runs = _runs(rows)
    groups: dict[tuple[str, int], dict[str, list[StudyRows]]] = {}
    for study in group_studies(rows):
        if study.trials:
            name = (study.method, int(study.trials[0]["n_epochs"]))
            groups.setdefault(name, {}).setdefault(study.task, []).append(study)
    found: list[Matrix] = []
    notes: list[str] = []
    for (method, n_epochs), tasks in groups.items():
        tuned: list[Tuned] = []
        for studies in tasks.values():
            one, said = _tuned(studies, rule, rows)
            notes += said
            tuned += [one] if one else []
        if len(tuned) > 1:
            tuned.sort(key=_order)
            cells = {(a.task, b.task): _cell(a, b, runs) for a in tuned for b in tuned}
            found.append(Matrix(method, n_epochs, tuple(tuned), cells))
    return found, notes


def losses(
    store: Store | None,
    cells: Mapping[tuple[str, str], Cell],
    clusters: Clusters | None = None,
) -> dict[tuple[str, str], Joint]:
    """Return the loss of every cell that is not native, from rows and, with a store, from logits.

    Raises:
        UserError: logits are damaged, or of other images than those of the same task.
    """
    return {
        place: _loss(store, cells[place[1], place[1]], cell, clusters)
        for place, cell in cells.items()
        if place[0] != place[1]
    }


def transfer(
    store: Store,
    found: Sequence[Matrix],
    notes: Sequence[str],
    rule: SelectionRule,
    clusters: Clusters | None = None,
) -> Answer:
    """Return the matrices of a results folder as a frame and a text.

    Raises:
        UserError: no method was tuned on two tasks, or damaged logits.
    """
    if not found:
        raise UserError(
            f"No method in {store.root} was tuned on two tasks with the same number of epochs, so "
            "there is nothing to transfer; search another factor or data set in the same --results."
        )
    lost = [losses(store, matrix.cells, clusters) for matrix in found]
    return Answer(
        {"rows": transfer_frame(found, lost, rule, store.folders)},
        lambda: transfer_text(found, lost, notes, rule, store.folders),
        rule,
        tuple(notes),
    )


def transfer_frame(
    found: Sequence[Matrix], lost: Sequence[Losses], rule: SelectionRule, folders: Sequence[Path]
) -> pd.DataFrame:
    """Return one line for each cell; scores are fractions, `command` fills what is missing."""
    lines: list[dict[str, Any]] = []
    for matrix, loss_of in zip(found, lost, strict=True):
        for place, cell in matrix.cells.items():
            lines.append(
                {
                    "method": matrix.method,
                    "n_epochs": matrix.n_epochs,
                    "tuned_at": place[0],
                    "used_at": place[1],
                    "source_key": cell.source.selected["key"],
                    "native": place[0] == place[1],
                    "same_config_as_native": cell.same_config,
                    "balanced_accuracy": cell.spread.mean,
                    "sd": cell.spread.sd,
                    "n_seeds": cell.spread.n,
                    "n_failed": len(cell.failed),
                    "n_missing": len(cell.missing),
                    **_loss_columns(loss_of.get(place)),
                    "rule": rule.name,
                    "command": command(cell, folders),
                }
            )
    return pd.DataFrame(lines)


def command(cell: Cell, folders: Sequence[Path]) -> str:
    """Return the command that fills a cell in the first folder; empty where nothing is missing."""
    if not cell.missing:
        return ""
    ends = [tuned.selected["task_fingerprint"][:8] for tuned in (cell.source, cell.target)]
    method = shlex.quote(cell.source.study.method)
    root, *also = (shlex.quote(str(folder)) for folder in folders)
    return (
        f"lmd-bench transfer --method {method} --from {ends[0]} --to {ends[1]} --results {root}"
        + "".join(f" --also {folder}" for folder in also)
    )


def short_names(tuned: Sequence[Tuned]) -> dict[str, str]:
    """Return a name for each task from what tells them apart."""
    rows = {one.task: one.selected for one in tuned}
    differ = [part for part in _PARTS if len({row[part] for row in rows.values()}) > 1]
    names = {task: " ".join(_part(row, part) for part in differ) for task, row in rows.items()}
    if len(set(names.values())) < len(names):
        names = {t: f"{names[t]} {row['task_fingerprint'][:8]}".strip() for t, row in rows.items()}
    return names


def transfer_text(
    found: Sequence[Matrix],
    lost: Sequence[Losses],
    notes: Sequence[str],
    rule: SelectionRule,
    folders: Sequence[Path],
) -> list[Part]:
    """Return all matrices as text, and the commands that fill missing cells."""
    lines: list[Part] = [
        f"Balanced accuracy on test in %, of the config that {rule.name} selects where it was "
        "tuned, retrained where it is used; mean ± SD over the retraining seeds there.",
        "Loss: natively tuned less transferred, in points, paired on the same seeds and images; "
        f"[ ]: 95 % over {_over(lost)} and retrainings together. Images: 95 % for these trained "
        "models alone; seeds: on these images alone, by Student's t. None holds the spread over "
        "searches, splits or data sets. =: the same config.",
    ]
    missing: list[str] = []
    for matrix, loss_of in zip(found, lost, strict=True):
        names = short_names(matrix.tuned)
        lines += [
            "",
            f"{matrix.method}, {_epochs(matrix)}; rows: tuned at, columns: used at",
        ]
        scores = [[names[a], *(_score(matrix.cells[a, b]) for b in names)] for a in names]
        lines.append(Table(["tuned at", *names.values()], scores))
        lines += ["", *_losses(matrix, loss_of, names)]
        missing += [text for cell in matrix.cells.values() if (text := command(cell, folders))]
    lines += ["", *(f"Missing: {text}" for text in dict.fromkeys(missing))] if missing else []
    return [*lines, *(["", *(f"Note: {note}." for note in notes)] if notes else [])]


def _runs(rows: Iterable[Row]) -> dict[Content, dict[int, Row]]:
    """Return the runs on test by content and seed; of two, the one that ended well, then any."""
    runs: dict[Content, dict[int, Row]] = {}
    for row in rows:
        if row["phase"] in JUDGED_ON_TEST:
            seeds = runs.setdefault(content_of(row), {})
            earlier = seeds.get(int(row["seed"]))
            if earlier is None or (earlier["status"] != "ok" and row["status"] == "ok"):
                seeds[int(row["seed"])] = row
    return runs


def _tuned(
    studies: Sequence[StudyRows], rule: SelectionRule, rows: Sequence[Row]
) -> tuple[Tuned | None, list[str]]:
    latest = [max(row["finished_at"] for row in study.trials) for study in studies]
    ranked = sorted(zip(studies, latest, strict=True), key=lambda one: (len(one[0].trials), one[1]))
    study = ranked[-1][0]
    notes = [
        f"{study.method} has several studies on {study.task}: {study.study} is taken, and not "
        f"{other.study}; --study chooses"
        for other, _ in ranked[:-1]
    ]
    selected = study.selected(rule)
    if selected is None:
        return None, [*notes, f"nothing to transfer from {study.method} on {study.task}: no trial"]
    seeds = _seeds(study.rows) or _seeds(
        row for row in rows if row["task_fingerprint"] == selected["task_fingerprint"]
    )
    if not seeds:
        notes.append(f"nothing is confirmed on {study.task}, so no config can be used there")
    return Tuned(study, selected, seeds), notes


def _seeds(rows: Iterable[Row]) -> tuple[int, ...]:
    return tuple(sorted({int(row["seed"]) for row in rows if row["phase"] == "confirm"}))


def _order(tuned: Tuned) -> tuple[Any, ...]:
    row = tuned.selected
    return (row["dataset"], row["protocol"], row["imbalance_factor"] or 0.0, tuned.task)


def _cell(source: Tuned, target: Tuned, runs: Mapping[Content, Mapping[int, Row]]) -> Cell:
    content = content_of(source.selected, target.selected["task_fingerprint"])
    runs_by_seed = {s: r for s, r in runs.get(content, {}).items() if s in target.seeds}
    return Cell(
        source,
        target,
        {seed: row for seed, row in sorted(runs_by_seed.items()) if row["status"] == "ok"},
        {seed: row for seed, row in sorted(runs_by_seed.items()) if row["status"] != "ok"},
        content == content_of(target.selected),
    )


def _loss(store: Store | None, native: Cell, cell: Cell, clusters: Clusters | None) -> Joint:
    shared = [seed for seed in native.runs if seed in cell.runs]
    if store is not None and shared and not cell.same_config:
        source = native.target.selected
        sides = [
            judged_runs(store, name, {seed: one.runs[seed] for seed in shared}, source)
            for name, one in (("the natively tuned", native), ("the transferred config", cell))
        ]
        ours, theirs = sides
        if ours is not None and theirs is not None and ours.seeds == theirs.seeds:
            pair = f"{ours.label} and {theirs.label}"
            same_images(pair, (ours.image_ids, ours.labels), (theirs.image_ids, theirs.labels))
            return measure(
                [(1.0, ours), (-1.0, theirs)], ours.seeds, lesions=clusters_of(ours, clusters)
            )
    differences = [native.runs[seed][METRIC] - cell.runs[seed][METRIC] for seed in shared]
    return joint(differences, None, "")


def _over(lost: Sequence[Losses]) -> str:
    """Return what is drawn anew of the test sets, in words."""
    said = [loss.images.over for loss_of in lost for loss in loss_of.values() if loss.images.over]
    return said[0].partition(",")[0] if said else "test images"


def _losses(matrix: Matrix, loss_of: Losses, names: Mapping[str, str]) -> list[Part]:
    header = ("tuned at", "used at", "loss", "images", "seeds")
    rows: list[list[str]] = []
    for (a, b), loss in loss_of.items():
        if matrix.cells[a, b].same_config:
            rows.append([names[a], names[b], "=", "", ""])
            continue
        value = with_bounds(loss.value, loss.interval, "+")
        parts = (bounds(loss.images, "+"), bounds(loss.seeds, "+"))
        rows.append([names[a], names[b], value, *parts])
    known = [loss.value for loss in loss_of.values() if not isnan(loss.value)]
    mean = spread(known).mean
    summary = (
        f"Mean loss over {len(known)} of {len(loss_of)} transfers: {percent(mean, '+')} points, "
        f"the largest {percent(max(known), '+')}."
        if known
        else "No transfer is judged yet."
    )
    return [Table(header, rows, n_keys=2), summary]


def _score(cell: Cell) -> str:
    text = percent(cell.spread.mean)
    text += "" if isnan(cell.spread.sd) else f" ± {percent(cell.spread.sd)}"
    if cell.failed:
        text += f" ({len(cell.failed)} failed)"
    if cell.missing and cell.runs:
        text += f" ({len(cell.missing)} missing)"
    return "missing" if not cell.runs and not cell.failed else text


def _loss_columns(loss: Joint | None) -> dict[str, float]:
    found = joint((), None, "") if loss is None else loss
    return {"loss": found.value} | joint_columns(found, "loss_")


def _part(row: Mapping[str, Any], part: str) -> str:
    value = row[part]
    if part == "imbalance_factor":
        return factor_name(value, "IF ")
    if part == "image_size":
        return f"{value} px"
    prefix = {"n_max": "n_max ", "split_seed": "split "}.get(part, "")
    return f"{prefix}{'–' if value is None else value}"


def _epochs(matrix: Matrix) -> str:
    return f"{matrix.n_epochs} epoch{'' if matrix.n_epochs == 1 else 's'}"
