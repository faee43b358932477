"""Confirmed models on another data set, without training.

Each class of the other data set is one of the model's, or is left out. So are images that the run's
own data hold, for the model may have seen them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int64

from lmd_bench.core.errors import UserError, unknown
from lmd_bench.core.schema import DataSource, Row, TaskSpec, content_hash
from lmd_bench.core.yaml_text import read_yaml
from lmd_bench.data.build import OnImages, prepare_dataset
from lmd_bench.data.images.prepare import PreparedImages
from lmd_bench.data.table import ImageTable, hashed_groups
from lmd_bench.experiments.evaluation.judging import Images, Judge, OnJudged, Runs, chosen_runs
from lmd_bench.experiments.evaluation.overlap import seen_images
from lmd_bench.experiments.evaluation.scores import gap, score, with_images
from lmd_bench.leaderboard.answer import Answer
from lmd_bench.leaderboard.studies.measure import measure
from lmd_bench.leaderboard.studies.predictions import Judged, clusters_of, judged_runs
from lmd_bench.leaderboard.tables.text import Part, Table, percent, with_bounds
from lmd_bench.stats.intervals import Interval
from lmd_bench.stats.joint import joint_columns
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
    judged = [_both(store, of_config, rows) for of_config in runs]
    return _answer(judged, task.dataset, len(kept.rows), kept.notes)


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


def _both(store: Store, runs: Runs, rows: Mapping[str, Row]) -> tuple[Judged, Judged | None]:
    """Return what the models of one configuration got right there, and on their own test."""
    there = {seed: rows[run["key"]] for seed, run in runs.rows.items()}
    far = judged_runs(store, runs.label, there, runs.first)
    assert far is not None, "its logits were just written"
    own = judged_runs(store, runs.label, runs.rows, runs.first)
    # Runs by hand have no test.
    return far, own if own is not None and own.seeds == far.seeds else None


def _answer(
    judged: Sequence[tuple[Judged, Judged | None]],
    dataset: str,
    n_images: int,
    notes: tuple[str, ...],
) -> Answer:
    there = judged[0][0]
    classes = with_images(there)
    for _, own in judged:
        classes = classes & with_images(own) if own is not None else classes
    names = [name for name, has in zip(there.class_names, classes, strict=True) if has]
    lines = [_line(far, own, classes) for far, own in judged]
    frame = pd.DataFrame(lines).assign(dataset=dataset, n_images=n_images, n_classes=len(names))
    recalls = pd.DataFrame([line for far, own in judged for line in _by_class(far, own)])
    differences = pd.DataFrame([_difference(judged[0][0], far) for far, _ in judged[1:]])
    counts = Counter(there.class_names[label] for label in there.labels.tolist())
    counted = ", ".join(f"{name} {n}" for name, n in counts.items())

    def text() -> list[Part]:
        parts: list[Part] = [
            f"Mean recall in % over {len(names)} classes that have images in both: "
            f"{', '.join(names)}. [ ]: 95 % over test images of each set and retrainings together.",
            f"{dataset}, {n_images} images: {counted}.",
            Table(
                ("method", "own test", dataset, "gap", "runs"),
                [_cells(line) for line in lines],
            ),
            "Recall by class, %:",
            Table(
                ("method", "class", "own test", dataset, "gap"),
                [_class_cells(line) for line in recalls.to_dict("records")],
                n_keys=2,
            ),
        ]
        if len(judged) > 1:
            head = ("method", f"less {there.label}, on the same images of {dataset}")
            pairs = differences.to_dict("records")
            cells = [[pair["other"], _shown(pair, "difference", "+")] for pair in pairs]
            parts.append(Table(head, cells))
        return [*parts, *(f"Note: {note}." for note in notes)]

    frames = {"rows": frame, "classes": recalls, "differences": differences}
    return Answer(frames, text, notes=notes)


def _line(far: Judged, own: Judged | None, classes: np.ndarray) -> dict[str, Any]:
    there = score(far, classes)
    line: dict[str, Any] = {"method": far.label, "n_seeds": len(far.seeds)}
    line |= {"external": there.value, **joint_columns(there, "external_")}
    if own is not None:
        here, between = score(own, classes), gap(far, own, classes)
        line |= {"own": here.value, **joint_columns(here, "own_")}
        line |= {"gap": between.value, **joint_columns(between, "gap_")}
    return line


def _cells(line: Mapping[Any, Any]) -> list[str]:
    ways = (("own", ""), ("external", ""), ("gap", "+"))
    return [line["method"], *(_shown(line, *way) for way in ways), str(line["n_seeds"])]


def _shown(line: Mapping[Any, Any], name: str, sign: str) -> str:
    low, high = (line.get(f"{name}_{end}", np.nan) for end in ("low", "high"))
    return with_bounds(line.get(name, np.nan), Interval(low, high, ""), sign)


def _by_class(far: Judged, own: Judged | None) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    there = with_images(far)
    here = np.zeros_like(there) if own is None else with_images(own)
    for index, name in enumerate(far.class_names):
        alone = np.arange(len(there)) == index
        line: dict[str, Any] = {"method": far.label, "class": name}
        if there[index]:
            line |= {"external": score(far, alone).value}
        if own is not None and here[index]:
            line |= {"own": score(own, alone).value}
            if there[index]:
                between = gap(far, own, alone)
                line |= {"gap": between.value, **joint_columns(between, "gap_")}
        lines.append({"external": np.nan, "own": np.nan, "gap": np.nan} | line)
    return lines


def _class_cells(line: Mapping[Any, Any]) -> list[str]:
    recalls = [percent(line[name]) for name in ("own", "external")]
    return [line["method"], line["class"], *recalls, _shown(line, "gap", "+")]


def _difference(first: Judged, other: Judged) -> dict[str, Any]:
    line: dict[str, Any] = {"first": first.label, "other": other.label}
    seeds = [seed for seed in first.seeds if seed in other.seeds]
    if not seeds:
        return line
    found = measure([(1.0, other), (-1.0, first)], seeds, lesions=clusters_of(first))
    return line | {"difference": found.value, **joint_columns(found, "difference_")}
