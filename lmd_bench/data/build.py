"""From what a person asks for to built tasks: specs, prepared images, index sets."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np

from lmd_bench.core import paths
from lmd_bench.core.errors import UserError, unknown
from lmd_bench.core.machine import n_cores
from lmd_bench.core.options import NATURAL, from_keywords, parse_factors
from lmd_bench.core.schema import DataSource, TaskSpec
from lmd_bench.data import datasets
from lmd_bench.data.images.cache import NO_IMAGES, PreparedImages
from lmd_bench.data.images.prepare import prepare
from lmd_bench.data.images.values import look_at_values
from lmd_bench.data.options import DataOptions, Protocol, TaskAndData
from lmd_bench.data.tasks.protocols import PROTOCOLS
from lmd_bench.data.tasks.rare_classes import settle_rare_classes
from lmd_bench.data.tasks.task import Task, build_task, check_fingerprint

_LOOKED_AT = 64  # files: enough to see a fault of all of them

OnImages = Callable[[str, int, int], None]  # takes the data set's name, images done, all images


def prepare_images(
    dataset: str, image_size: int = 64, *, progress: OnImages | None = None, **options: Any
) -> PreparedImages:
    """Return all images of a data set as one array, decoded and resized once.

    They come from the cache where an earlier call has put them; else all cores prepare them.

    Args:
        dataset: Name or alias of a data set.
        image_size: Pixels, square.
        progress: Called as images are decoded; never where the cache holds them.
        options: Those of `DataOptions`: data_root, allow_missing, images_csv, ...

    Raises:
        UserError: an unknown data set or option, absent or unreadable files, or a full cache.
    """
    source = from_keywords(DataOptions, options).source()
    return prepare_dataset(dataset, source, image_size, progress)


def load_task(
    dataset: str,
    *,
    imbalance_factor: float | int | str | None = None,
    progress: OnImages | None = None,
    **options: Any,
) -> Task:
    """Return a task: which images are for training, which for validation, and class counts.

    `train` and `val` are rows of `prepare_images` of the same data set and size. Test stays closed.

    Args:
        dataset: Name or alias of a data set.
        imbalance_factor: n_max / n_min of train; None keeps what exists.
        progress: Called as images are decoded; never where the cache holds them.
        options: Those of `TaskOptions` and `DataOptions`: image_size, protocol, data_root, ...

    Raises:
        UserError: an unknown name or option, absent data, or data that cannot give this task.
    """
    asked = from_keywords(TaskAndData, options)
    cut, source = asked.task, asked.data.source(asked.task.split_dir)
    factors = parse_factors([NATURAL if imbalance_factor is None else str(imbalance_factor)])
    (spec,) = task_specs([dataset], factors, *cut.ways)
    prepared = prepare_dataset(spec.dataset, source, spec.image_size, progress)
    return build_task(prepared.table, spec, prepared.fingerprint, source)


def task_specs(
    names: Iterable[str],
    factors: Iterable[float | None],
    protocol: str,
    split_seed: int,
    image_size: int,
    n_max: int | None,
) -> list[TaskSpec]:
    """Return the tasks of every data set at every factor.

    Args:
        names: Of data sets.
        factors: n_max / n_min of train; None keeps what exists.
        protocol: As rows call it, and `TaskOptions.ways` says; so are the other three.
        split_seed: Of the splits.
        image_size: Pixels, square.
        n_max: Images of the largest train class.

    Raises:
        UserError: an unknown data set or protocol.
    """
    if protocol not in PROTOCOLS:
        raise unknown("protocol", protocol, get_args(Protocol))
    factors = list(factors)
    cards = [datasets.load(name).card for name in names]
    return [
        # Features have no size in pixels, whatever was asked for.
        TaskSpec(
            card.name,
            protocol,
            factor,
            split_seed,
            NO_IMAGES if card.features else image_size,
            n_max,
        )
        for card in cards
        for factor in factors
    ]


def prepare_dataset(
    name: str, source: DataSource, image_size: int, progress: OnImages | None = None
) -> PreparedImages:
    """Return the prepared images of a data set, made now by all cores where the cache has none."""
    name = datasets.load(name).card.name
    return prepare(
        name,
        source,
        image_size,
        n_threads=n_cores(),
        progress=progress and partial(progress, name),
    )


def source_notes(
    names: Iterable[str], source: DataSource, at_most: int | None = _LOOKED_AT
) -> list[str]:
    """Return what a person should know of the files of data sets: what is left out, odd values.

    Args:
        names: of the data sets.
        source: where their files lie.
        at_most: files of more than 8 bits whose values are looked at; None: all.

    Raises:
        UserError: an unknown data set, or absent files.
    """
    notes: list[str] = []
    for name in names:
        data = datasets.load(name, source.columns)
        root = paths.data_root(data.card.name, source.root)
        own = [*data.notes(root), *_note_on_rare(data, root, source)]
        if data.opens_files:
            table = data.read(root)
            sources = tuple(zip(table.image_ids, data.paths(root, table), strict=True))
            own += look_at_values(data, sources, n_cores(), at_most).notes(source.intensity)
        notes += [f"{data.card.name}: {note}" for note in own]
    return notes


def _note_on_rare(data: datasets.Dataset, root: Path | None, source: DataSource) -> list[str]:
    """Return what a person's rule on rare classes does to the images that are here."""
    if source.rare_classes == "refuse":
        return []
    table = data.read(root)
    here = table.take(np.flatnonzero(~data.missing(root, table)))
    settled, kept = settle_rare_classes(here, source.rare_classes, source.rare_below)
    rare = [name for name in here.class_names if name not in settled.class_names]
    if not rare:
        return []
    if source.rare_classes == "merge":
        return [f"--rare-classes merge makes one class of {', '.join(rare)}"]
    n = len(here) - len(kept)
    return [f"{n} images are left out by --rare-classes drop, those of {', '.join(rare)}"]


def build_tasks(
    specs: Iterable[TaskSpec], source: DataSource, progress: OnImages | None = None
) -> tuple[tuple[TaskSpec, str], ...]:
    """Return each task with its fingerprint; the images are prepared on the way.

    Raises:
        UserError: data that are absent, or that cannot give a task.
    """
    specs = list(specs)
    several = len({spec.dataset for spec in specs}) > 1
    if source.split_dir is not None and several:
        raise UserError(
            "--split-dir names the splits of one data set, but several were asked for; run one "
            "search for each, with the same --results."
        )
    if source.root is not None and several:
        raise UserError(
            "--data-root names the folder of one data set, but several were asked for; put them "
            "below one folder under their names and set LMD_BENCH_DATA to it."
        )
    built: list[tuple[TaskSpec, str]] = []
    for spec in specs:
        prepared = prepare_dataset(spec.dataset, source, spec.image_size, progress)
        task = build_task(prepared.table, spec, prepared.fingerprint, source)
        built.append((spec, task.fingerprint))
    return tuple(built)


def check_tasks(
    tasks: Iterable[tuple[TaskSpec, str]], source: DataSource, progress: OnImages | None = None
) -> None:
    """Check that the data here are those that rows were made from.

    Args:
        tasks: each with the fingerprint that its rows have.
        source: where the data lie on this machine.
        progress: called as images are decoded; never where the cache holds them.

    Raises:
        UserError: they give another task.
    """
    for spec, expected in tasks:
        ((_, here),) = build_tasks([spec], source, progress)
        check_fingerprint(spec, here, expected)
