"""The numbers of an ablation on one task: each contrast with its intervals.

All cells are judged on the same test images and retrained with the same seeds, and both intervals
are of the contrast itself, paired: the bootstrap draws the same images for all cells, Student's t
is over the contrast of each seed. Neither holds the spread over searches, splits or data sets.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int64

from lmd_bench.core.schema import Row
from lmd_bench.core.seeding import derive_seed
from lmd_bench.experiments.ablation.contrasts import Contrast, changes, effects
from lmd_bench.experiments.ablation.record import AblationRecord, TaskRecord, read_records
from lmd_bench.experiments.ablation.scores import SCORES, CellScores, read_scores
from lmd_bench.leaderboard.compare import N_RESAMPLES
from lmd_bench.leaderboard.studies.predictions import Clusters, Judged, clusters_of, same_images
from lmd_bench.stats.bootstrap import mean_recall, resampled_recall
from lmd_bench.stats.intervals import Interval, over_images, percentile_interval, seed_interval
from lmd_bench.stats.paired import bootstrap_p, holm
from lmd_bench.store.store import open_store

NAN = float("nan")
UNKNOWN = Interval(NAN, NAN, "")
_GROUPS = {"many_recall": "many", "medium_recall": "medium", "few_recall": "few"}
_DRAWN = ("balanced_accuracy", *_GROUPS)  # scores that the bootstrap of images gives
Columns = dict[tuple[str, tuple[int, ...]], int]  # cell and seeds -> column of the samples


@dataclass(frozen=True)
class Estimate:
    """A contrast of one score; NaN where it cannot be had."""

    value: float
    images: Interval  # macro F1 has none
    seeds: Interval


@dataclass(frozen=True)
class Effect:
    """A contrast on one task."""

    contrast: Contrast
    estimates: Mapping[str, Estimate]  # by score
    n_seeds: int  # that all its cells share
    p: float  # of balanced accuracy, by the paired bootstrap of the images
    p_holm: float  # of changes: corrected over the cells of the task
    reason: str  # why there is no value


@dataclass(frozen=True)
class TaskAnalysis:
    """An ablation on one task."""

    record: AblationRecord
    task: TaskRecord
    cells: Mapping[str, CellScores]
    changes: tuple[Effect, ...]
    effects: tuple[Effect, ...]
    over: str  # what the image intervals are over


def analyse(
    record: AblationRecord,
    task: TaskRecord,
    cells: Mapping[str, CellScores],
    clusters: tuple[str, str] | None = None,
    n_resamples: int = N_RESAMPLES,
) -> TaskAnalysis:
    """Return the contrasts of an ablation on one task.

    Args:
        record: the ablation.
        task: the task.
        cells: what is known of each cell.
        clusters: CSV and column of the lesions of the images; None: those stored with the logits.
        n_resamples: bootstrap samples.

    Raises:
        UserError: cells were judged on different images, or the CSV cannot be used.
    """
    contrasts = [*changes(record), *effects(record)]
    seeds = [_shared_seeds(contrast, cells) for contrast in contrasts]
    columns = _columns(contrasts, seeds, cells)
    judged = _checked([cells[name].judged for name, _ in columns])
    given = Clusters(Path(clusters[0]), clusters[1]) if clusters else None
    ids = clusters_of(judged[0], given) if judged else None
    samples = _samples(columns, judged, ids, derive_seed(0, "ablation", task.label), n_resamples)
    over = over_images(ids)
    analysed = [
        _effect(contrast, shared, cells, columns, samples, judged, over)
        for contrast, shared in zip(contrasts, seeds, strict=True)
    ]
    against = [effect for effect in analysed if effect.contrast.kind == "change"]
    adjusted = holm([effect.p for effect in against])
    corrected = [replace(e, p_holm=p) for e, p in zip(against, adjusted, strict=True)]
    rest = [effect for effect in analysed if effect.contrast.kind != "change"]
    return TaskAnalysis(record, task, cells, tuple(corrected), tuple(rest), over)


def read_ablations(
    results: Path, name: str | None = None, clusters: tuple[str, str] | None = None
) -> list[TaskAnalysis]:
    """Return all ablations of a results folder, or those of one name, on each of their tasks.

    Raises:
        UserError: there is none, or what there is cannot be read.
    """
    return analyse_all(results, read_records(results, name), clusters)


def analyse_all(
    results: Path,
    records: Sequence[AblationRecord],
    clusters: tuple[str, str] | None = None,
    rows: Sequence[Row] | None = None,
) -> list[TaskAnalysis]:
    """Return some ablations of a results folder, on each of their tasks.

    Args:
        results: the folder.
        records: the ablations.
        clusters: CSV and column of the lesions of the images; None: those stored with the logits.
        rows: all rows of the folder, if they are read already.

    Raises:
        UserError: logits are damaged or of different images, or the clusters cannot be used.
    """
    store = open_store(results)
    of_study: dict[str, list[Row]] = defaultdict(list)
    for row in store.rows() if rows is None else rows:
        of_study[row["study"]].append(row)
    return [
        analyse(record, task, read_scores(store, record, task, of_study), clusters)
        for record in records
        for task in record.tasks
    ]


def _shared_seeds(contrast: Contrast, cells: Mapping[str, CellScores]) -> tuple[int, ...]:
    if not contrast.weights:
        return ()
    involved = [cells[name].seeds for name in contrast.weights]
    return tuple(s for s in involved[0] if all(s in others for others in involved))


def _columns(
    contrasts: Sequence[Contrast],
    seeds: Sequence[tuple[int, ...]],
    cells: Mapping[str, CellScores],
) -> Columns:
    """Return a column for each cell with the seeds of a contrast, where logits tell of them."""
    columns: Columns = {}
    for contrast, shared in zip(contrasts, seeds, strict=True):
        if shared and _has_logits(contrast, shared, cells):
            for name in contrast.weights:
                columns.setdefault((name, shared), len(columns))
    return columns


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


def _samples(
    columns: Columns,
    judged: Sequence[Judged],
    clusters: Int64[np.ndarray, " images"] | None,
    seed: int,
    n_resamples: int,
) -> Float[np.ndarray, "resamples columns classes"] | None:
    if not judged:
        return None
    right = np.column_stack(
        [
            cell.of_seeds(seeds).mean(axis=1)
            for cell, (_, seeds) in zip(judged, columns, strict=True)
        ]
    )
    generator = np.random.default_rng(seed)
    n_classes = len(judged[0].groups)
    return resampled_recall(judged[0].labels, right, n_classes, generator, clusters, n_resamples)


def _effect(
    contrast: Contrast,
    shared: tuple[int, ...],
    cells: Mapping[str, CellScores],
    columns: Columns,
    samples: Float[np.ndarray, "resamples columns classes"] | None,
    judged: Sequence[Judged],
    over: str,
) -> Effect:
    reason = _reason(contrast, shared, cells)
    if reason:
        nothing = {name: Estimate(NAN, UNKNOWN, UNKNOWN) for name in SCORES}
        return Effect(contrast, nothing, 0, NAN, NAN, reason)
    drawn: dict[str, Float[np.ndarray, " resamples"]] = {}
    if samples is not None and all((name, shared) in columns for name in contrast.weights):
        mixed = sum(
            weight * samples[:, columns[name, shared]] for name, weight in contrast.weights.items()
        )
        groups = np.array(judged[0].groups)
        for score in _DRAWN:
            inside = groups == _GROUPS[score] if score in _GROUPS else None
            drawn[score] = mean_recall(np.asarray(mixed), inside)
    estimates = {
        score: _estimate(contrast, shared, cells, score, drawn.get(score), over) for score in SCORES
    }
    p = bootstrap_p(drawn["balanced_accuracy"]) if drawn else NAN
    return Effect(contrast, estimates, len(shared), p, NAN, "")


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
    drawn: Float[np.ndarray, " resamples"] | None,
    over: str,
) -> Estimate:
    by_seed = [
        sum(weight * cells[name].values[score][seed] for name, weight in contrast.weights.items())
        for seed in shared
    ]
    images = UNKNOWN if drawn is None else percentile_interval(drawn, over)
    return Estimate(float(np.mean(by_seed)), images, seed_interval(by_seed))
