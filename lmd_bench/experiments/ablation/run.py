"""From a design to a search: its cells as methods of one request, and its record."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import Config, DataSource, Scalar, TaskSpec
from lmd_bench.core.text import task_label
from lmd_bench.data.build import OnImages, build_tasks
from lmd_bench.experiments.ablation.cells import Cell
from lmd_bench.experiments.ablation.design import Design, build
from lmd_bench.experiments.ablation.document import read_document
from lmd_bench.experiments.ablation.record import (
    AblationRecord,
    CellRecord,
    PointRecord,
    TaskRecord,
    write_record,
)
from lmd_bench.methods.catalogue import Method, resolve_method
from lmd_bench.methods.settings import parse_settings
from lmd_bench.methods.space import search_space
from lmd_bench.search.proposing.points import best_configs, pair
from lmd_bench.search.request import SearchRequest
from lmd_bench.search.staging import StudySpec, study_specs
from lmd_bench.store.store import open_store


@dataclass(frozen=True)
class AskedFor:
    """What a person typed of an ablation."""

    file: str  # or the name of a shipped one
    settings: tuple[str, ...] = ()  # section.key=value, for all cells
    mode: str | None = None
    retune: int | None = None
    base_from: Path | None = None


def plan_ablation(
    asked: AskedFor,
    specs: Sequence[TaskSpec],
    source: DataSource,
    progress: OnImages | None = None,
    **fields: Any,
) -> tuple[Design, SearchRequest]:
    """Return the cells of an ablation and the search that runs them; images are prepared.

    Args:
        asked: the file, and what changes it.
        specs: the tasks.
        source: where the images lie.
        progress: called as images are decoded.
        fields: of the search's request: results, epochs, seeds, resources.

    Raises:
        UserError: a file, names, settings or data that cannot be used.
    """
    document = read_document(asked.file)
    make = partial(
        build,
        document,
        mode=asked.mode,
        retune=asked.retune,
        fixed=parse_settings(asked.settings),
    )
    design = make()  # a mistake shows before images are read
    tasks = build_tasks(specs, source, progress)
    if asked.base_from:
        base = resolve_method(document.base)
        fingerprints = [fingerprint for _, fingerprint in tasks]
        design = make(base_config=base_config_from(asked.base_from, base, fingerprints))
    return design, search_request(design, tasks=tasks, source=source, **fields)


def search_request(design: Design, **fields: Any) -> SearchRequest:
    """Return the search that runs a design; `fields` are those of the request it does not decide.

    Raises:
        UserError: numbers or settings that a search refuses.
    """
    if fields.get("confirm_seeds", 1) < 1:
        raise UserError("--confirm-seeds 0 would leave nothing to compare; give 1 or more.")
    methods = tuple(cell.method for cell in design.cells)
    start = _searched(design.start, methods)
    return SearchRequest(
        methods=methods,
        n_trials=max(1, design.retune),
        equal_totals=True,
        points=(start,) if start else (),
        **fields,
    )


def record_of(design: Design, request: SearchRequest) -> AblationRecord:
    """Return what the results folder keeps of an ablation."""
    reference = next(cell for cell in design.cells if cell.name == design.reference)
    return AblationRecord(
        name=design.name,
        title=design.title,
        mode=design.mode,
        retune=design.retune,
        reference=design.reference,
        n_epochs=request.n_epochs,
        n_seeds=request.confirm_seeds,
        seed=request.seed,
        command=request.command,
        started_at=time.time(),
        toggles=tuple((toggle.name, toggle.title) for toggle in design.toggles),
        cells=tuple(_cell_record(cell, reference) for cell in design.cells),
        points=tuple(PointRecord(point.levels, point.cell) for point in design.points),
        generators=design.generators,
        words=design.words,
        resolution=design.resolution,
        tasks=_task_records(request),
    )


def run_ablation(design: Design, request: SearchRequest) -> int:
    """Run what the store lacks of an ablation; return the exit code of its search.

    Raises:
        UserError: data, numbers or a results folder that cannot be used.
    """
    from lmd_bench.search.run import run_search

    open_store(request.results, create=True)
    write_record(request.results, record_of(design, request))
    return run_search(request).exit_code


def base_config_from(folder: Path, base: Method, fingerprints: Sequence[str]) -> Config:
    """Return the config best on val of the base's latest study on a task, in an earlier folder.

    Raises:
        UserError: several tasks, no results there, or none of the base on this task.
    """
    if len(fingerprints) != 1:
        raise UserError(
            f"--base-from takes the config found on one task, but {len(fingerprints)} came; run "
            "one ablation for each, with the same --results."
        )
    rows = [row for row in open_store(folder).rows() if row["task_fingerprint"] == fingerprints[0]]
    configs = best_configs(rows).get(pair(base.representation, base.calibration), ())
    if not configs:
        raise UserError(
            f"The results in {folder} hold no finished search trial of {base.name} on this task; "
            "name another folder, or write base_config in the ablation's file."
        )
    return configs[0]


def _searched(start: Config, methods: Sequence[Method]) -> dict[str, Scalar]:
    searched = {key for m in methods for key in search_space(m.sections, m.settings, m.searched)}
    return {key: value for key, value in start.items() if key in searched}


def _cell_record(cell: Cell, reference: Cell) -> CellRecord:
    changes = {
        key: value for key, value in cell.config.items() if reference.config.get(key) != value
    }
    shared = {key: changes[key] for key in changes if key in reference.config}
    return CellRecord(
        cell.name, cell.title, cell.method.representation, cell.method.calibration, shared
    )


def _task_records(request: SearchRequest) -> tuple[TaskRecord, ...]:
    by_task: dict[str, list[StudySpec]] = {}
    for spec in study_specs(request):
        if spec.requested:
            label = task_label({**asdict(spec.task), "task_fingerprint": spec.task_fingerprint})
            by_task.setdefault(label, []).append(spec)
    return tuple(
        TaskRecord(
            label,
            {spec.method.name: spec.id for spec in specs},
            {spec.method.name: spec.stands_on for spec in specs if spec.stands_on},
        )
        for label, specs in by_task.items()
    )
