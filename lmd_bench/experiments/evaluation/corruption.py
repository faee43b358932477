"""Confirmed models on the test images of their own task, corrupted in five ways at five strengths.

The images are the same, so each change is paired by image and by retraining.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import UInt8

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource, Row
from lmd_bench.data.build import OnImages, prepare_dataset
from lmd_bench.data.corruptions import CORRUPTIONS, STRENGTHS, corrupted
from lmd_bench.data.images.prepare import PreparedImages
from lmd_bench.data.table import hashed_groups
from lmd_bench.data.tasks.task import build_task, check_fingerprint, open_test
from lmd_bench.experiments.evaluation.judging import Images, Judge, OnJudged, Runs, chosen_runs
from lmd_bench.leaderboard.answer import Answer
from lmd_bench.leaderboard.studies.measure import Sides, measure
from lmd_bench.leaderboard.studies.predictions import Judged, clusters_of, judged_runs
from lmd_bench.leaderboard.tables.text import Part, Table, with_bounds
from lmd_bench.stats.intervals import Interval
from lmd_bench.stats.joint import joint_columns
from lmd_bench.store.rows import spec_of
from lmd_bench.store.store import Store

CLEAN, ALL = "clean", "mean of all"
Place = tuple[str, int]  # corruption and strength


def evaluate_corrupted(
    store: Store,
    keys: Sequence[str],
    source: DataSource,
    *,
    seed: int = 0,
    command: str = "",
    on_images: OnImages | None = None,
    on_done: OnJudged = lambda done, total: None,
) -> Answer:
    """Judge models on corrupted test images; rows of phase `corrupted` are kept.

    Args:
        store: Of the runs.
        keys: Of confirmed runs, or of search rows.
        source: Where the images of their task lie.
        seed: Of the draws of noise and colour casts.
        command: The command line, for the rows.
        on_images: Is told of images that are decoded.
        on_done: Is told of images that are judged, of all corruptions together.

    Raises:
        UserError: no such run, runs on features, or other images than those of the runs.
    """
    runs = chosen_runs(store, keys)
    first = runs[0].first
    if not first["image_size"]:
        raise UserError(
            "These runs were given features, so no images can be corrupted; name runs on images."
        )
    if first["phase"] == "single":
        raise UserError("A run by hand has no test; name runs of a confirmation.")
    prepared = prepare_dataset(first["dataset"], source, first["image_size"], on_images)
    test = _test_rows(first, prepared, source)
    places = [(kind, strength) for kind in CORRUPTIONS for strength in STRENGTHS]
    judge, total = Judge(store, runs, command), len(places) * len(test)
    by_place: dict[Place, Mapping[str, Row]] = {}
    for number, place in enumerate(places):
        before = number * len(test)
        images = _images(first, prepared, test, place, seed)
        by_place[place] = judge.rows(images, lambda n, _, before=before: on_done(before + n, total))
    judged = [_judged(store, of_config, by_place) for of_config in runs]
    return _answer(judged, first["dataset"])


def _test_rows(run: Row, prepared: PreparedImages, source: DataSource) -> np.ndarray:
    spec = spec_of(run)
    task = build_task(prepared.table, spec.task, prepared.fingerprint, source)
    check_fingerprint(spec.task, task.fingerprint, expected=spec.task_fingerprint)
    return open_test(prepared.table, task, prepared.fingerprint, source)


def _images(
    run: Row, prepared: PreparedImages, test: np.ndarray, place: Place, seed: int
) -> Images:
    kind, strength = place
    table = prepared.table.take(test)

    def read(start: int, stop: int) -> UInt8[np.ndarray, "images size size 3"]:
        clean = prepared.read(test[start:stop])
        names = table.image_ids[start:stop]
        return np.stack(
            [corrupted(of, kind, strength, seed, i) for of, i in zip(clean, names, strict=True)]
        )

    spec = spec_of(run)
    return Images(
        "corrupted",
        f"{kind}-{strength}-draws-{seed}",
        spec.task,
        spec.task_fingerprint,
        table.image_ids,
        table.labels,
        hashed_groups(table, set(table.image_ids), salt=prepared.fingerprint),
        read,
        corruption=kind,
        strength=strength,
    )


def _judged(
    store: Store, runs: Runs, by_place: Mapping[Place, Mapping[str, Row]]
) -> tuple[Judged, dict[Place, Judged]]:
    """Return what the models of one configuration got right on clean and on corrupted images."""
    clean = judged_runs(store, runs.label, runs.rows, runs.first)
    if clean is None:
        raise UserError(
            f"The test logits of {runs.label} are not in {store.root}, so nothing can be compared "
            "with them; run its confirmation again."
        )
    found: dict[Place, Judged] = {}
    for place, rows in by_place.items():
        of_seeds = {seed: rows[run["key"]] for seed, run in runs.rows.items()}
        judged = judged_runs(store, runs.label, of_seeds, runs.first)
        assert judged is not None, "its logits were just written"
        found[place] = judged
    return clean, found


def _answer(judged: Sequence[tuple[Judged, Mapping[Place, Judged]]], dataset: str) -> Answer:
    lines = [line for clean, places in judged for line in _lines(clean, places)]
    frame = pd.DataFrame(lines).assign(dataset=dataset)

    def text() -> list[Part]:
        parts: list[Part] = [
            f"Balanced accuracy in % on the {len(judged[0][0].labels)} test images of {dataset} by "
            "strength of a corruption, and less that on clean images. [ ]: 95 % over test images "
            "and retrainings together."
        ]
        for clean, _ in judged:
            of_method = [line for line in lines if line["method"] == clean.label]
            score = of_method[0]
            parts.append(f"{clean.label}, clean: {_shown(score, 'score', '')}")
            for name, sign in (("score", ""), ("change", "+")):
                head = (name, *(str(strength) for strength in STRENGTHS))
                parts.append(Table(head, _cells(of_method[1:], name, sign)))
        return parts

    return Answer({"rows": frame}, text)


def _lines(clean: Judged, places: Mapping[Place, Judged]) -> list[dict[str, Any]]:
    """Return scores and changes: clean, of each corruption and strength, and their means."""
    seeds, lesions = clean.seeds, clusters_of(clean)
    kinds = list(dict.fromkeys(kind for kind, _ in places))
    lines = [_line(clean, CLEAN, 0, [], lesions)]
    for kind in kinds:
        lines += [_line(clean, kind, s, [places[kind, s]], lesions) for s in STRENGTHS]
    for strength in STRENGTHS:
        lines.append(_line(clean, ALL, strength, [places[k, strength] for k in kinds], lesions))
    assert all(of.seeds == seeds for of in places.values()), "each run was judged at each place"
    return lines


def _line(
    clean: Judged, kind: str, strength: int, worse: Sequence[Judged], lesions: Any
) -> dict[str, Any]:
    sides: Sides = [(1 / len(worse), of) for of in worse] or [(1.0, clean)]
    found = measure(sides, clean.seeds, lesions=lesions)
    line = {"method": clean.label, "corruption": kind, "strength": strength}
    line |= {"n_seeds": len(clean.seeds), "score": found.value, **joint_columns(found, "score_")}
    if worse:
        change = measure([*sides, (-1.0, clean)], clean.seeds, lesions=lesions)
        line |= {"change": change.value, **joint_columns(change, "change_")}
    return line


def _cells(lines: Sequence[Mapping[str, Any]], name: str, sign: str) -> list[list[str]]:
    rows: dict[str, list[str]] = {}
    for line in lines:
        rows.setdefault(line["corruption"], []).append(_shown(line, name, sign))
    return [[kind, *cells] for kind, cells in rows.items()]


def _shown(line: Mapping[str, Any], name: str, sign: str) -> str:
    interval = Interval(line[f"{name}_low"], line[f"{name}_high"], "")
    return with_bounds(line[name], interval, sign)
