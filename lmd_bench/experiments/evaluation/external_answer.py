"""What rows of phase `external` say: scores on both sets of images, gaps, recall by class."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lmd_bench.core.schema import Row
from lmd_bench.experiments.evaluation.runs import Runs
from lmd_bench.experiments.evaluation.scores import gap, score, with_images
from lmd_bench.leaderboard.answer import Answer
from lmd_bench.leaderboard.studies.measure import measure
from lmd_bench.leaderboard.studies.predictions import Judged, clusters_of, judged_runs
from lmd_bench.leaderboard.tables.text import Part, Table, percent, with_bounds
from lmd_bench.stats.intervals import Interval
from lmd_bench.stats.joint import joint_columns
from lmd_bench.store.store import Store


def external_answer(
    store: Store, runs: Sequence[Runs], rows: Mapping[str, Row], notes: tuple[str, ...] = ()
) -> Answer:
    """Return what rows of phase `external` say of the runs that were judged.

    Args:
        store: Where the logits of both lie.
        runs: The first is the one that others are compared with.
        rows: Of each run on the images of one other data set, by the run's key.
        notes: On images that were left out, where that is known.

    Raises:
        UserError: damaged logits.
    """
    judged = [_both(store, of_config, rows) for of_config in runs]
    return _answer(judged, rows[runs[0].first["key"]]["dataset"], notes)


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
    notes: tuple[str, ...],
) -> Answer:
    there = judged[0][0]
    n_images = len(there.labels)
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
