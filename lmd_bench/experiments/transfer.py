"""Retrain configs that were tuned on one task on another, and judge them on its test.

Each run is a row of phase `transfer` with the key of the search row it comes from as `source_key`,
in a study of its own, so that it never counts as tuned where it is used. It goes through the engine
of a search: encoders are shared, and the same command goes on after a kill.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource, Row, TrialSpec
from lmd_bench.core.text import factor_name, task_slug
from lmd_bench.data.build import OnImages, check_tasks
from lmd_bench.experiments.confirm import checked_spec
from lmd_bench.leaderboard.answer import Answer
from lmd_bench.leaderboard.studies.predictions import Clusters
from lmd_bench.leaderboard.studies.read import read_rows
from lmd_bench.leaderboard.studies.rules import SelectionRule, rule_named
from lmd_bench.leaderboard.transfer import Cell, Matrix, Tuned, matrices, transfer
from lmd_bench.methods.catalogue import method_of, resolve_method
from lmd_bench.search.display import Display
from lmd_bench.search.jobs import Job, make_job
from lmd_bench.search.request import SearchRequest
from lmd_bench.search.sources import Fixed
from lmd_bench.store.rows import spec_of
from lmd_bench.store.store import Store


@dataclass(frozen=True)
class Chosen:
    """Which transfers a person asks for; empty: all."""

    methods: tuple[str, ...] = ()
    tuned_at: tuple[str, ...] = ()  # tasks: a data set, `if100`, or the beginning of a fingerprint
    used_at: tuple[str, ...] = ()
    study: str = ""  # part of a study's id


def transfer_answer(
    results: Path,
    chosen: Chosen,
    rule: str,
    clusters: Clusters | None = None,
    also: Sequence[Path] = (),
) -> Answer:
    """Return the transfer matrices from stored rows alone.

    Args:
        results: The folder.
        chosen: Methods, tasks and studies.
        rule: What selects the configuration of each study.
        clusters: Lesions or patients of the images; None: those stored with the logits.
        also: Other folders, whose configs and runs count with those of the first.

    Raises:
        UserError: as `read_transfer` and `transfer`.
    """
    store, tables, notes, by = read_transfer(results, chosen, rule, also)
    return transfer(store, tables, notes, by, clusters)


def read_transfer(
    results: Path, chosen: Chosen, rule: str, also: Sequence[Path] = ()
) -> tuple[Store, list[Matrix], list[str], SelectionRule]:
    """Return the store, the matrices of the chosen methods, notes, and the rule.

    Raises:
        UserError: no results, no such rule, method or task, or two outcomes of a trial.
    """
    by = rule_named(rule)
    store, rows = read_rows(results, by, also)
    places = " or ".join(map(str, store.folders))
    kept = [row for row in rows if row["phase"] == "transfer" or chosen.study in row["study"]]
    tables, notes = matrices(kept, by)
    names = {matrix.method for matrix in tables}
    for name in chosen.methods:
        if name not in names:
            raise UserError(
                f"Method '{name}' was not tuned on two tasks of {places} with the same number of "
                f"epochs; choose from {', '.join(sorted(names)) or 'none'}."
            )
    if chosen.methods:
        tables = [matrix for matrix in tables if matrix.method in chosen.methods]
    else:
        # A stage 1 that other methods stand on is tuned and was not asked for: there is no native
        # score that a transfer could be compared with.
        alone = [matrix for matrix in tables if not _is_confirmed(matrix)]
        tables = [matrix for matrix in tables if _is_confirmed(matrix)]
        if tables:
            notes += [
                f"Left out: {matrix.method}, which is confirmed on none of its tasks; "
                f"--method {matrix.method} takes it."
                for matrix in alone
            ]
        else:
            tables = alone
    for text in (*chosen.tuned_at, *chosen.used_at):
        if tables and not any(is_task(t.selected, text) for matrix in tables for t in matrix.tuned):
            raise UserError(
                f"No task of {places} is '{text}'; give a data set, a factor like if100, or the "
                "beginning of a fingerprint."
            )
    return store, [_narrowed(matrix, chosen) for matrix in tables], notes, by


def _narrowed(matrix: Matrix, chosen: Chosen) -> Matrix:
    """Return a matrix without the tasks at which nothing that is asked for is tuned or used."""
    if not (chosen.tuned_at and chosen.used_at):
        return matrix
    texts = (*chosen.tuned_at, *chosen.used_at)
    tuned = tuple(one for one in matrix.tuned if _is_any(one, texts))
    kept = {one.task for one in tuned}
    cells = {place: cell for place, cell in matrix.cells.items() if kept.issuperset(place)}
    return replace(matrix, tuned=tuned, cells=cells)


def _is_confirmed(matrix: Matrix) -> bool:
    """Say whether a method was retrained where it was tuned, on any task."""
    return any(cell.runs for (a, b), cell in matrix.cells.items() if a == b)


def missing_cells(tables: Sequence[Matrix], chosen: Chosen) -> list[Cell]:
    """Return the chosen cells that are not native and have seeds without a run."""
    return [
        cell
        for matrix in tables
        for (a, b), cell in matrix.cells.items()
        if a != b
        and cell.missing
        and (not chosen.tuned_at or _is_any(cell.source, chosen.tuned_at))
        and (not chosen.used_at or _is_any(cell.target, chosen.used_at))
    ]


def transfer_specs(cells: Sequence[Cell]) -> dict[str, tuple[TrialSpec, Row]]:
    """Return the trials that fill cells, by key, each with the search row it comes from.

    A config that is selected on two tasks is retrained on a third once.

    Raises:
        UserError: a row of another version, whose trials would differ.
    """
    specs: dict[str, tuple[TrialSpec, Row]] = {}
    for cell in cells:
        source = dict(cell.source.selected)
        spec = checked_spec(source)
        _check_versions(spec)
        target = spec_of(dict(cell.target.selected))
        place = task_slug(target.task, target.task_fingerprint)
        for seed in cell.missing:
            run = replace(
                spec,
                task=target.task,
                task_fingerprint=target.task_fingerprint,
                seed=seed,
                phase="transfer",
                study=f"{place}/{spec.method}/{spec.n_epochs}ep-transfer",
            )
            specs.setdefault(run.key, (run, source))
    return specs


def missing_transfers(
    results: Path, chosen: Chosen, rule: str, also: Sequence[Path] = ()
) -> dict[str, tuple[TrialSpec, Row]]:
    """Return the trials that the chosen transfers lack, as `transfer_specs` does.

    Raises:
        UserError: a rule that chooses on test, or as `read_transfer` and `transfer_specs`.
    """
    _, tables, _, by = read_transfer(results, chosen, rule, also)
    if by.watermark:
        raise UserError(
            f"Rule '{by.name}' chooses on test, so nothing is run by it; add --table to see it."
        )
    return transfer_specs(missing_cells(tables, chosen))


def run_transfers(
    specs: Mapping[str, tuple[TrialSpec, Row]],
    results: Path,
    source: DataSource,
    resources: Mapping[str, Any],
    command: str,
    display: Display,
    progress: OnImages | None = None,
) -> int:
    """Run transfers as one search; return the exit code.

    Args:
        specs: As `missing_transfers` gives them.
        results: The folder that they are written to.
        source: Where the data lie on this machine.
        resources: Fields of `SearchRequest` on the machine.
        command: The command line that rows keep.
        display: Is told what happens.
        progress: Called as images are decoded.

    Raises:
        UserError: data other than those of the rows.
    """
    tasks = {spec.task_fingerprint: spec.task for spec, _ in specs.values()}
    check_tasks(((task, fingerprint) for fingerprint, task in tasks.items()), source, progress)
    methods = {spec.method for spec, _ in specs.values()}
    request = SearchRequest(
        methods=tuple(resolve_method(name) for name in sorted(methods)),
        tasks=tuple((task, fingerprint) for fingerprint, task in tasks.items()),
        results=results,
        source=source,
        command=command,
        **resources,
    )

    def jobs(sized: SearchRequest) -> Fixed:
        return Fixed(sized, [_job(sized, spec, row) for spec, row in specs.values()])

    from lmd_bench.search.run import run_search

    return run_search(request, display, jobs).exit_code


def is_task(row: Mapping[str, Any], text: str) -> bool:
    """Say whether a row is of the task that a person names."""
    names = (row["dataset"], factor_name(row["imbalance_factor"], "if"))
    return text in names or (len(text) > 3 and row["task_fingerprint"].startswith(text))


def _is_any(tuned: Tuned, texts: Sequence[str]) -> bool:
    return any(is_task(tuned.selected, text) for text in texts)


def _job(request: SearchRequest, spec: TrialSpec, row: Row) -> Job:
    context = replace(
        request.context(spec.task.dataset),
        trial_number=int(row["trial_number"]),
        is_default=bool(row["is_default"]),
        source_key=row["key"],
    )
    return make_job(spec, context)


def _check_versions(spec: TrialSpec) -> None:
    for name, here in method_of(spec).versions.items():
        if spec.versions.get(name) != here:
            raise UserError(
                f"The config of {spec.method} was tuned with version {spec.versions.get(name)} of "
                f"{name}, and this is version {here}; search again with it."
            )
