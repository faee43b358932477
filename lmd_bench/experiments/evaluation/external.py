"""Confirmed models on another data set, without training.

Each class of the other data set is one of the model's, or is left out. So are images that the run's
own data hold, for the model may have seen them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from lmd_bench.core.errors import UserError, unknown
from lmd_bench.core.schema import DataSource, TaskSpec, content_hash
from lmd_bench.core.yaml_text import read_yaml
from lmd_bench.data.build import OnImages, prepare_dataset
from lmd_bench.data.images.prepare import PreparedImages
from lmd_bench.data.table import ImageTable, hashed_groups
from lmd_bench.experiments.evaluation.external_answer import external_answer
from lmd_bench.experiments.evaluation.judging import Images, Judge, OnJudged
from lmd_bench.experiments.evaluation.overlap import seen_images
from lmd_bench.experiments.evaluation.runs import Runs, chosen_runs
from lmd_bench.leaderboard.answer import Answer
from lmd_bench.store.store import Store

EXTERNAL = "external"  # as protocol: the images are as they are


@dataclass(frozen=True, eq=False)
class _Kept:
    """Which images of the other data set count."""

    rows: Int64[np.ndarray, " images"]  # of its table
    labels: Int64[np.ndarray, " images"]  # classes of the model
    notes: tuple[str, ...]


def evaluate_external(
    store: Store,
    keys: Sequence[str],
    dataset: str,
    source: DataSource,
    *,
    class_map: Path | None = None,
    own_root: Path | None = None,
    command: str = "",
    on_images: OnImages | None = None,
    on_done: OnJudged = lambda done, total: None,
) -> Answer:
    """Judge models on another data set; rows of phase `external` are kept.

    Args:
        store: Of the runs.
        keys: Of confirmed runs, or of search rows; the first is the one that others are compared
            with.
        dataset: The other one.
        source: Where its files lie.
        class_map: YAML, class of the other data set: class of the model; null leaves it out. None:
            classes of equal names, whatever their case.
        own_root: Folder of the run's own data, so that its images can be left out; None: where
            `$LMD_BENCH_DATA` says.
        command: The command line, for the rows.
        on_images: Is told of images that are decoded.
        on_done: Is told of images that are judged.

    Raises:
        UserError: no such run or data set, runs on features, a map of other classes, or no image
            that is left.
    """
    runs = chosen_runs(store, keys)
    first = runs[0].first
    if not first["image_size"]:
        raise UserError(
            "These runs were given features, so no images can be shown to their models; lmd-bench "
            "predict takes a file of features of the other data set."
        )
    prepared = prepare_dataset(dataset, source, first["image_size"], on_images)
    kept = _kept(store, runs, prepared, class_map, own_root, on_images)
    task = TaskSpec(_name(prepared, dataset), EXTERNAL, image_size=first["image_size"])
    images = _images(prepared, kept, tuple(first["class_names"]), task)
    rows = Judge(store, runs, command).rows(images, on_done)
    return external_answer(store, runs, rows, kept.notes)


def read_class_map(
    path: Path | None, theirs: Sequence[str], ours: Sequence[str]
) -> Mapping[str, str | None]:
    """Return the model's class of each class of another data set; None where it is left out.

    Raises:
        UserError: a file that is no map, or that names a class that is not there.
    """
    if path is None:
        by_case = {name.casefold(): name for name in ours}
        return {name: by_case.get(name.casefold()) for name in theirs}
    data = read_yaml(path, "class map", "give a YAML file such as `AK: akiec`")
    if not isinstance(data, dict):
        raise UserError(f"The class map {path} is no map; write lines such as `AK: akiec`.")
    given = {str(k): None if v is None else str(v) for k, v in data.items()}
    for name, target in given.items():
        if name not in theirs:
            raise unknown(f"class of the other data set in {path}:", name, theirs)
        if target is not None and target not in ours:
            raise unknown(f"class of the model in {path}:", target, ours)
    return {name: given.get(name) for name in theirs}


def _kept(
    store: Store,
    runs: Sequence[Runs],
    prepared: PreparedImages,
    class_map: Path | None,
    own_root: Path | None,
    on_images: OnImages | None,
) -> _Kept:
    first = runs[0].first
    table, ours = prepared.table, list(first["class_names"])
    mapped = read_class_map(class_map, table.class_names, ours)
    target = np.array(
        [-1 if (name := mapped[c]) is None else ours.index(name) for c in table.class_names]
    )
    labels = target[table.labels].astype(np.int64)
    seen, notes = seen_images(store, first, prepared, own_root, on_images)
    rows = np.flatnonzero((labels >= 0) & ~seen).astype(np.int64)
    left_out = [name for name in table.class_names if mapped[name] is None]
    if left_out:
        n = int((labels < 0).sum())
        notes.append(f"no class of the model, left out ({n} images): {', '.join(left_out)}")
    if n_seen := int((seen & (labels >= 0)).sum()):
        notes.append(f"left out, as the run's own data hold them: {n_seen} images")
    if not len(rows):
        raise UserError(
            f"No image is left of the {len(table)} that are present: {'; '.join(notes)}. Give "
            "--class-map, or the rest of the data set."
        )
    return _Kept(rows, labels[rows], tuple(notes))


def _name(prepared: PreparedImages, dataset: str) -> str:
    from lmd_bench.data import datasets

    assert prepared.image_size, "it has images"
    return datasets.load(dataset).card.name


def _images(
    prepared: PreparedImages, kept: _Kept, class_names: tuple[str, ...], task: TaskSpec
) -> Images:
    table: ImageTable = prepared.table.take(kept.rows)
    facts: dict[str, Any] = {
        "data": prepared.fingerprint,
        "image_size": task.image_size,
        "class_names": class_names,
        EXTERNAL: [[i, int(k)] for i, k in zip(table.image_ids, kept.labels, strict=True)],
    }
    return Images(
        EXTERNAL,
        EXTERNAL,
        task,
        content_hash(facts),
        table.image_ids,
        kept.labels,
        hashed_groups(table, set(table.image_ids), salt=prepared.fingerprint),
        read=lambda start, stop: prepared.read(kept.rows[start:stop]),
    )
