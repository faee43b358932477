"""What the confirmed configuration of a study got right on test: the base of all comparisons."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int64

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import MISSING_VALUES, Row
from lmd_bench.core.seeding import derive_seed
from lmd_bench.data.csv_rows import read_rows
from lmd_bench.leaderboard.studies.group import StudyRows, repeated
from lmd_bench.leaderboard.studies.rules import SelectionRule
from lmd_bench.stats.bootstrap import cluster_numbers
from lmd_bench.store.store import Store


@dataclass(frozen=True)
class Clusters:
    """A CSV that says which lesion or patient each image is of."""

    path: Path
    column: str


@dataclass(frozen=True, eq=False)
class Judged:
    """The selected configuration of one study, judged on test once for each retraining seed."""

    label: str
    seeds: tuple[int, ...]  # each names a run; of several searches, see `_names_of_runs`
    image_ids: tuple[str, ...]  # in order, equal for all studies of a task
    labels: Int64[np.ndarray, " images"]
    right: Bool[np.ndarray, "images seeds"]
    groups: tuple[str, ...]  # many, medium or few, for each class
    clusters: Int64[np.ndarray, " images"] | None = None  # lesions or patients, where known
    lesions: tuple[str, ...] = ()  # their names, one for each image; none where not known
    class_names: tuple[str, ...] = ()
    protocol: str = ""  # it says how images weigh in a metric
    logits: tuple[Float[np.ndarray, "images classes"], ...] = ()  # of each seed
    searches: tuple[str, ...] = ()  # that each seed is of, where several searches are one method
    split: str = ""  # fingerprint of the task
    # The same method on each of several splits; all of the above is then of the first of them.
    splits: tuple["Judged", ...] = ()
    jackknifed: dict[Any, Any] = field(default_factory=dict[Any, Any])  # what took long to compute

    def of_seeds(self, seeds: Sequence[int]) -> Bool[np.ndarray, "images chosen"]:
        """Return what was right with these seeds."""
        return self.right[:, [self.seeds.index(seed) for seed in seeds]]

    def searches_of(self, seeds: Sequence[int]) -> list[str]:
        """Return the search that each seed is of; all the same where there is one."""
        searches = dict(zip(self.seeds, self.searches, strict=False))
        return [searches.get(seed, "") for seed in seeds]


def read_judged(store: Store, study: StudyRows, rule: SelectionRule) -> Judged | None:
    """Return what the confirmation runs of a study's selected configuration got right on test.

    Returns:
        None where none is confirmed, or no logits of it were kept.

    Raises:
        UserError: logits are damaged, or runs of one task were judged on different images.
    """
    selected = study.selected(rule)
    if selected is None:
        return None
    return judged_runs(store, study.label, study.ok_runs(selected), selected)


def read_methods(store: Store, studies: Sequence[StudyRows], rule: SelectionRule) -> list[Judged]:
    """Return what the methods of one table got right, the repeats of one search as one method.

    Raises:
        UserError: as `read_judged`.
    """
    read = [read_repeats(store, members, rule) for members in repeated(studies)]
    return [judged for judged in read if judged is not None]


def read_repeats(store: Store, repeats: Sequence[StudyRows], rule: SelectionRule) -> Judged | None:
    """Return what the repeats of one search got right on test, each with its own selected config.

    Raises:
        UserError: as `read_judged`.
    """
    found = [(study, read_judged(store, study, rule)) for study in repeats]
    return together([(study, judged) for study, judged in found if judged is not None])


def together(repeats: Sequence[tuple[StudyRows, Judged]]) -> Judged | None:
    """Return the repeats of one search as one method: over searches, and over splits; None of none.

    Raises:
        UserError: searches on one split were judged on different images.
    """
    of_splits: dict[str, list[tuple[StudyRows, Judged]]] = defaultdict(list)
    for study, judged in repeats:
        of_splits[judged.split].append((study, judged))
    splits = [_searches(members) for members in of_splits.values()]
    if len(splits) < 2:
        return splits[0] if splits else None
    return replace(splits[0], label=repeats[0][0].method, splits=tuple(splits), jackknifed={})


def _searches(known: Sequence[tuple[StudyRows, Judged]]) -> Judged:
    """Return several searches on one split as one method."""
    first = known[0][1]
    for study, judged in known[1:]:
        same_images(
            study.method, (first.image_ids, first.labels), (judged.image_ids, judged.labels)
        )
    if len(known) < 2:
        return first
    return replace(
        first,
        label=known[0][0].method,
        seeds=_names_of_runs(known),
        right=np.hstack([judged.right for _, judged in known]),
        logits=tuple(z for _, judged in known for z in judged.logits),
        searches=tuple(study.study for study, judged in known for _ in judged.seeds),
        jackknifed={},
    )


def _names_of_runs(searches: Sequence[tuple[StudyRows, Judged]]) -> tuple[int, ...]:
    """Return a number for each run of several searches, by which those of two methods are paired.

    A search has retraining seeds of its own, and these are the numbers. Where two share a seed, as
    after `lmd-bench confirm`, the run of the later one is called by the seed and its place.
    """
    names: dict[tuple[str, int], int] = {}
    n_before: Counter[int] = Counter()
    # Studies are called by their search's seed, so their order is the same for all methods.
    for study, judged in sorted(searches, key=lambda search: search[0].study):
        for seed in judged.seeds:
            place = n_before[seed]
            names[study.study, seed] = derive_seed(seed, "search", place) if place else seed
            n_before[seed] += 1
    return tuple(names[study.study, seed] for study, judged in searches for seed in judged.seeds)


def judged_runs(
    store: Store,
    label: str,
    runs: Mapping[int, Row],
    source: Row,
    split: Literal["val", "test"] = "test",
) -> Judged | None:
    """Return what runs of one config got right on test; None where no logits of them were kept.

    Args:
        store: Where the logits lie.
        label: What the runs are called.
        runs: Seed -> row.
        source: Any row of the task; it names the classes and their groups.
        split: What they are judged on.

    Raises:
        UserError: as `read_judged`.
    """
    of_seeds: dict[int, Float[np.ndarray, "images classes"]] = {}
    seen: tuple[tuple[str, ...], np.ndarray] | None = None
    lesions: list[str] = []
    for seed, row in runs.items():
        found = store.read_logits(row["key"])
        if split not in found:
            continue
        ids, labels, logits = found[split]
        order = np.argsort(np.array(ids, dtype=str), kind="stable")
        images = (tuple(ids[index] for index in order), labels[order])
        if seen is not None:
            same_images(label, seen, images)
        seen = images
        if not lesions:
            lesions = _stored_lesions(store, row["key"], ids, order, split)
        of_seeds[seed] = logits[order]
    if seen is None:
        return None
    ids, labels = seen
    return Judged(
        label=label,
        seeds=tuple(of_seeds),
        image_ids=ids,
        labels=labels,
        right=np.column_stack([z.argmax(axis=1) == labels for z in of_seeds.values()]),
        groups=tuple(source["groups"]),
        clusters=cluster_numbers(lesions) if lesions else None,
        lesions=tuple(lesions),
        class_names=tuple(source["class_names"]),
        protocol=source["protocol"],
        logits=tuple(of_seeds.values()),
        split=source["task_fingerprint"],
    )


def clusters_of(
    judged: Judged, given: Clusters | None = None
) -> Int64[np.ndarray, " images"] | None:
    """Return the lesion or patient of each image: that of a CSV, or else what the store holds.

    None where neither says any: each image is then its own.

    Raises:
        UserError: the CSV cannot be used.
    """
    if given is not None:
        return cluster_numbers(read_lesions(given.path, given.column, judged.image_ids))
    return judged.clusters


def with_clusters(judged: Judged, given: Clusters | None) -> Judged:
    """Return a method with the lesions or patients of a CSV, on each of its splits.

    Raises:
        UserError: the CSV cannot be used.
    """
    if given is None:
        return judged
    lesions = read_lesions(given.path, given.column, judged.image_ids)
    return replace(
        judged,
        clusters=cluster_numbers(lesions),
        lesions=tuple(lesions),
        splits=tuple(with_clusters(split, given) for split in judged.splits),
    )


def same_images(
    name: str, one: tuple[tuple[str, ...], np.ndarray], other: tuple[tuple[str, ...], np.ndarray]
) -> None:
    """Check that two runs of a task were judged on the same images.

    Raises:
        UserError: they were not, so they cannot be compared image by image.
    """
    if one[0] != other[0] or not np.array_equal(one[1], other[1]):
        raise UserError(
            f"The logits of {name} are of other test images than those they are compared with, "
            "though the task is the same; run its confirmation again in one results folder."
        )


def read_lesions(path: Path, column: str, image_ids: Sequence[str]) -> list[str]:
    """Return the lesion or patient of each image, from a CSV with a column `image_id`.

    An image that the file does not name, or without a lesion, is its own.

    Raises:
        UserError: the file or a column is not there, or it names none of the images.
    """
    known = _column(path, column, image_ids, "image_id and the one that --cluster-column names")
    return [f"g:{known[i]}" if i in known else f"i:{i}" for i in image_ids]


def read_column(path: Path, column: str, image_ids: Sequence[str]) -> list[str]:
    """Return what a CSV with a column `image_id` says of each image; `not known` where nothing.

    Raises:
        UserError: as `read_lesions`.
    """
    known = _column(path, column, image_ids, "image_id and the one that --column names")
    return [known.get(image, "not known") for image in image_ids]


def _column(path: Path, column: str, image_ids: Sequence[str], needs: str) -> dict[str, str]:
    rows = read_rows(
        path,
        ("image_id", column),
        how_to_get=f"Give a CSV with the columns {needs}.",
        mend=f"name its columns as they are, or give another file (it needs {needs})",
    )
    known = (row for row in rows if row[column] and row[column].lower() not in MISSING_VALUES)
    values = {row["image_id"]: row[column] for row in known}
    if not values.keys() & set(image_ids):
        raise UserError(f"{path} names none of the test images, such as {image_ids[0]}.")
    return values


def _stored_lesions(
    store: Store, key: str, ids: Sequence[str], order: Int64[np.ndarray, " images"], split: str
) -> list[str]:
    groups = store.read_groups(key).get(split, ())
    if not any(groups):
        return []
    # Named by its id, so that an image that two test sets share is one in both.
    return [groups[index] or f"image:{ids[index]}" for index in order]
