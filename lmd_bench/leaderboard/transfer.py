"""Configs that were tuned on one task and used on another: a matrix for each method.

A cell holds the runs, on the confirmation seeds of the task where it is used, of the config that
the rule selects where it was tuned. What a run is of is told by its content, so a config that is
confirmed there already, such as a default, fills the cell. The loss is that against the config
tuned natively, on the same seeds and images: above 0, native tuning is better.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lmd_bench.core.schema import JUDGED_ON_TEST, Row
from lmd_bench.core.seeding import derive_seed
from lmd_bench.leaderboard.compare import compare
from lmd_bench.leaderboard.studies.group import StudyRows, group_studies
from lmd_bench.leaderboard.studies.predictions import judged_runs
from lmd_bench.leaderboard.studies.rules import SelectionRule
from lmd_bench.stats.intervals import Interval, seed_interval
from lmd_bench.stats.spread import Spread, spread
from lmd_bench.store.store import Store

METRIC = "test_balanced_accuracy"
Content = tuple[Any, ...]  # what shapes a run, but for its seed


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


@dataclass(frozen=True)
class Loss:
    """Native less transferred balanced accuracy on test, and its paired 95 % intervals."""

    value: float  # NaN without a shared seed
    over_seeds: Interval
    over_images: Interval | None  # None where no logits were kept


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
        there = {*self.runs, *self.failed}
        return tuple(seed for seed in self.target.seeds if seed not in there)


@dataclass(frozen=True, eq=False)
class Matrix:
    """All cells of one method at one number of epochs."""

    method: str
    n_epochs: int
    tuned: tuple[Tuned, ...]  # in the order of rows and of columns
    cells: Mapping[tuple[str, str], Cell]  # (tuned at, used at) -> cell


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
    store: Store | None, cells: Mapping[tuple[str, str], Cell]
) -> dict[tuple[str, str], Loss]:
    """Return the loss of every cell that is not native, from rows and, with a store, from logits.

    Raises:
        UserError: logits are damaged, or of other images than those of the same task.
    """
    return {
        place: _loss(store, cells[place[1], place[1]], cell)
        for place, cell in cells.items()
        if place[0] != place[1]
    }


def _runs(rows: Iterable[Row]) -> dict[Content, dict[int, Row]]:
    """Return the runs on test by content and seed; of two, the one that ended well, then any."""
    found: dict[Content, dict[int, Row]] = {}
    for row in rows:
        if row["phase"] in JUDGED_ON_TEST:
            seeds = found.setdefault(content_of(row), {})
            known = seeds.get(int(row["seed"]))
            if known is None or (known["status"] != "ok" and row["status"] == "ok"):
                seeds[int(row["seed"])] = row
    return found


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


def _order(one: Tuned) -> tuple[Any, ...]:
    row = one.selected
    return (row["dataset"], row["protocol"], row["imbalance_factor"] or 0.0, one.task)


def _cell(source: Tuned, target: Tuned, runs: Mapping[Content, Mapping[int, Row]]) -> Cell:
    content = content_of(source.selected, target.selected["task_fingerprint"])
    there = {s: r for s, r in runs.get(content, {}).items() if s in target.seeds}
    return Cell(
        source,
        target,
        {seed: row for seed, row in sorted(there.items()) if row["status"] == "ok"},
        {seed: row for seed, row in sorted(there.items()) if row["status"] != "ok"},
        content == content_of(target.selected),
    )


def _loss(store: Store | None, native: Cell, cell: Cell) -> Loss:
    shared = [seed for seed in native.runs if seed in cell.runs]
    differences = [native.runs[seed][METRIC] - cell.runs[seed][METRIC] for seed in shared]
    over_seeds = seed_interval(differences)
    value = spread(differences).mean
    if store is None or not shared or cell.same_config:
        return Loss(value, over_seeds, None)
    groups = native.target.selected["groups"]
    sides = [
        judged_runs(store, name, {seed: one.runs[seed] for seed in shared}, groups)
        for name, one in (("the natively tuned", native), ("the transferred config", cell))
    ]
    if sides[0] is None or sides[1] is None:
        return Loss(value, over_seeds, None)
    generator = np.random.default_rng(derive_seed(0, "transfer", cell.target.task))
    found, _ = compare(sides[0], [sides[1]], generator)
    return Loss(value, over_seeds, found[0].balanced_accuracy.interval if found else None)
