"""Confirmed models on the test images of their own task, corrupted in five ways at five strengths.

The images are the same, so each change is paired by image and by retraining.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import UInt8

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource, Row
from lmd_bench.data.build import OnImages, prepare_dataset
from lmd_bench.data.corruptions import CORRUPTIONS, STRENGTHS, corrupted
from lmd_bench.data.images.prepare import PreparedImages
from lmd_bench.data.table import hashed_groups
from lmd_bench.data.tasks.task import build_task, check_fingerprint, open_test
from lmd_bench.experiments.evaluation.corruption_answer import Place, corruption_answer
from lmd_bench.experiments.evaluation.judging import Images, Judge, OnJudged
from lmd_bench.experiments.evaluation.runs import chosen_runs
from lmd_bench.leaderboard.answer import Answer
from lmd_bench.store.rows import spec_of
from lmd_bench.store.store import Store


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
    return corruption_answer(store, runs, by_place)


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
