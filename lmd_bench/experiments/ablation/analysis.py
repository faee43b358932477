"""The numbers of an ablation on one task: each contrast with its intervals.

All cells are judged on the same test images and retrained with the same seeds, and all intervals
are of the contrast itself, paired: over images and retrainings together (`stats.joint`), and over
each of the two alone. None holds the spread over searches, splits or data sets.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from lmd_bench.core.errors import unknown
from lmd_bench.core.schema import Row
from lmd_bench.experiments.ablation.contrasts import Contrast, changes, effects
from lmd_bench.experiments.ablation.record import AblationRecord, TaskRecord, read_records
from lmd_bench.experiments.ablation.scores import SCORES, CellScores, read_scores
from lmd_bench.leaderboard.studies.measure import is_recall, measure
from lmd_bench.leaderboard.studies.predictions import Clusters, Judged, clusters_of, same_images
from lmd_bench.stats.intervals import over_images
from lmd_bench.stats.joint import Joint, joint
from lmd_bench.stats.metrics import PRIMARY
from lmd_bench.stats.paired import holm
from lmd_bench.store.store import open_store


@dataclass(frozen=True)
class Effect:
    """A contrast on one task."""

    contrast: Contrast
    estimates: Mapping[str, Joint]  # by score
    n_seeds: int  # that all its cells share
    reason: str  # why there is no value
    p_holm: float = nan  # of changes: corrected over all that are shown, of all tasks

    @property
    def primary(self) -> Joint:
        """Return the estimate of balanced accuracy, which is tested."""
        return self.estimates[PRIMARY.name]


@dataclass(frozen=True)
class TaskAnalysis:
    """An ablation on one task."""

    record: AblationRecord
    task: TaskRecord
    cells: Mapping[str, CellScores]
    changes: tuple[Effect, ...]
    effects: tuple[Effect, ...]
    over: str  # what is drawn anew of the test set
    n_tests: int = 1  # changes that p_holm is corrected over


def analyse(
    record: AblationRecord,
    task: TaskRecord,
    cells: Mapping[str, CellScores],
    clusters: Clusters | None = None,
) -> TaskAnalysis:
    """Return the contrasts of an ablation on one task.

    Args:
        record: the ablation.
        task: the task.
        cells: what is known of each cell.
        clusters: lesions or patients of the images; None: those stored with the logits.

    Raises:
        UserError: cells were judged on different images, or the CSV cannot be used.
    """
    contrasts = [*changes(record), *effects(record)]
    judged = _checked([cell.judged for cell in cells.values()])
    ids = clusters_of(judged[0], clusters) if judged else None
    analysed = [_effect(contrast, cells, ids) for contrast in contrasts]
    against = [effect for effect in analysed if effect.contrast.kind == "change"]
    rest = [effect for effect in analysed if effect.contrast.kind != "change"]
    return TaskAnalysis(record, task, cells, tuple(against), tuple(rest), over_images(ids))


def corrected(analyses: Sequence[TaskAnalysis]) -> list[TaskAnalysis]:
    """Return analyses with Holm's correction over the changes of all of them."""
    p_values = [effect.primary.p for analysis in analyses for effect in analysis.changes]
    n_tests = max(1, sum(not isnan(p) for p in p_values))
    adjusted = iter(holm(p_values))
    return [
        replace(
            analysis,
            changes=tuple(replace(effect, p_holm=next(adjusted)) for effect in analysis.changes),
            n_tests=n_tests,
        )
        for analysis in analyses
    ]


def read_ablations(
    results: Path,
    name: str | None = None,
    clusters: Clusters | None = None,
    against: str | None = None,
) -> list[TaskAnalysis]:
    """Return all ablations of a results folder, or those of one name, on each of their tasks.

    Args:
        results: the folder.
        name: of the ablations; None: all.
        clusters: lesions or patients of the images; None: those stored with the logits.
        against: cell that the others are compared with; None: the reference of each ablation.

    Raises:
        UserError: there is none, what there is cannot be read, or no ablation has that cell.
    """
    records = read_records(results, name)
    if against is not None:
        having = [r for r in records if against in {cell.name for cell in r.cells}]
        if not having:
            raise unknown("cell", against, {cell.name for r in records for cell in r.cells})
        records = [replace(record, reference=against) for record in having]
    return analyse_all(results, records, clusters)


def analyse_all(
    results: Path,
    records: Sequence[AblationRecord],
    clusters: Clusters | None = None,
    rows: Sequence[Row] | None = None,
) -> list[TaskAnalysis]:
    """Return some ablations of a results folder, on each of their tasks.

    Args:
        results: the folder.
        records: the ablations.
        clusters: lesions or patients of the images; None: those stored with the logits.
        rows: all rows of the folder, if they are read already.

    Raises:
        UserError: logits are damaged or of different images, or the clusters cannot be used.
    """
    store = open_store(results)
    of_study: dict[str, list[Row]] = defaultdict(list)
    for row in store.rows() if rows is None else rows:
        of_study[row["study"]].append(row)
    return corrected(
        [
            analyse(record, task, read_scores(store, record, task, of_study), clusters)
            for record in records
            for task in record.tasks
        ]
    )


def _shared_seeds(contrast: Contrast, cells: Mapping[str, CellScores]) -> tuple[int, ...]:
    if not contrast.weights:
        return ()
    involved = [cells[name].seeds for name in contrast.weights]
    return tuple(s for s in involved[0] if all(s in others for others in involved))


def _has_logits(
    contrast: Contrast, shared: tuple[int, ...], cells: Mapping[str, CellScores]
) -> bool:
    involved = [cells[name].judged for name in contrast.weights]
    return all(judged is not None and set(shared) <= set(judged.seeds) for judged in involved)


def _checked(of_cells: Sequence[Judged | None]) -> list[Judged]:
    judged = [cell for cell in of_cells if cell is not None]
    for other in judged[1:]:
        first = judged[0]
        pair = f"{first.label} and {other.label}"
        same_images(pair, (first.image_ids, first.labels), (other.image_ids, other.labels))
    return judged


def _effect(
    contrast: Contrast,
    cells: Mapping[str, CellScores],
    clusters: Int64[np.ndarray, " images"] | None,
) -> Effect:
    shared = _shared_seeds(contrast, cells)
    reason = _reason(contrast, shared, cells)
    if reason:
        nothing = joint((), None, "")
        return Effect(contrast, dict.fromkeys(SCORES, nothing), 0, reason)
    estimates = {score: _estimate(contrast, shared, cells, score, clusters) for score in SCORES}
    return Effect(contrast, estimates, len(shared), "")


def _reason(contrast: Contrast, shared: tuple[int, ...], cells: Mapping[str, CellScores]) -> str:
    if not contrast.weights:
        return "the toggles are one cell in all its combinations"
    lacking = [name for name in contrast.weights if not cells[name].seeds]
    if lacking:
        return "no result of " + ", ".join(f"{n} ({cells[n].status})" for n in lacking)
    return "" if shared else "its cells share no seed"


def _estimate(
    contrast: Contrast,
    shared: tuple[int, ...],
    cells: Mapping[str, CellScores],
    score: str,
    clusters: Int64[np.ndarray, " images"] | None,
) -> Joint:
    judged = [cells[name].judged for name in contrast.weights]
    kept = is_recall(score) or all(cell is not None and cell.logits for cell in judged)
    if kept and _has_logits(contrast, shared, cells):
        weights = contrast.weights.values()
        sides = [(w, cell) for w, cell in zip(weights, judged, strict=True) if cell is not None]
        return measure(sides, shared, score, clusters)
    by_seed = [
        sum(weight * cells[name].values[score][seed] for name, weight in contrast.weights.items())
        for seed in shared
    ]
    return joint(by_seed, None, "")
