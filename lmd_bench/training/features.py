"""Stored features in place of images: which a trial needs, and how missing ones are computed.

With `training.tune` at `frozen` or `adapter` the encoder is as it was loaded, so its features are
computed once for all tasks, factors, split seeds, methods and trials: those of the test view of the
whole data set in one pass, those of drawn views of the training images that a trial names. A pool
in the cache keeps them, both layers side by side.

An image is computed in a batch of a fixed size whatever its neighbours are, and its drawn views
follow from its id alone. So the same features come out in whatever order a pool is filled.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8

from lmd_bench.core.schema import DataSource, TrialSpec, content_hash
from lmd_bench.core.seeding import derive_seed
from lmd_bench.data.build import OnImages, prepare_dataset
from lmd_bench.data.images.pool import FeaturePool
from lmd_bench.data.images.prepare import PreparedImages
from lmd_bench.data.tasks.task import Task, build_task
from lmd_bench.data.views import View, make_view
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.limits import in_blocks
from lmd_bench.methods.models.encoder import (
    Encoder,
    EncoderFacts,
    encoder_facts,
    load_encoder,
    stem_for,
)
from lmd_bench.methods.models.fixed import StoredFacts
from lmd_bench.methods.pipeline import Pipeline, resolve
from lmd_bench.training.feed import view_named

VERSION = 1  # raised when the same encoder and images would give other features
BATCH = 16  # images; the fastest on a core (benchmarks/README.md)
_SEED = 0  # of encoders without weights and of drawn views; never a user's

Rows = Int64[np.ndarray, " rows"]
OnFeatures = Callable[[int, int], None]  # takes features done and all that are to be done


@dataclass(frozen=True)
class StoredFeatures:
    """The features that stand for the images of a task."""

    of_view: Mapping[str, Float32[np.ndarray, "copies images width"]]
    facts: StoredFacts


def stored_features(
    prepared: PreparedImages,
    task: Task,
    pipeline: Pipeline,
    *,
    device: torch.device,
    n_threads: int,
    progress: OnFeatures | None = None,
    on_wait: Callable[[], None] = lambda: None,
) -> StoredFeatures | None:
    """Return the features that a trial sees in place of images; None where it sees images.

    What is missing in the cache is computed now.

    Args:
        prepared: the images, or the features that a person brought.
        task: whose training images are seen in drawn views too.
        pipeline: of the trial.
        device: what features are computed on.
        n_threads: of the CPU.
        progress: is told of features that are computed.
        on_wait: is told now and then while another process computes them.

    Raises:
        UserError: an encoder that cannot be had, or a cache that cannot be written.
    """
    if prepared.holds_features:
        given = prepared.features()
        return _scaled({"test": given[None]}, task.train, signed=bool((given < 0).any()))
    training = pipeline.training
    if not training.on_stored:
        return None
    facts = encoder_facts(_both(training))
    pool = _pool(prepared, training, facts)
    every = np.arange(len(prepared.table), dtype=np.int64)
    wanted: dict[View, tuple[int, Rows]] = {"test": (1, every)}
    wanted |= dict.fromkeys(_drawn_views(pipeline), (training.n_views, task.train))
    _fill(pool, wanted, prepared, training, device, n_threads, progress, on_wait)
    columns = _columns(training, facts)
    of_view = {
        view: pool.mapped(view, n_copies)[:, :, columns] for view, (n_copies, _) in wanted.items()
    }
    return _scaled(of_view, task.train, signed=encoder_facts(training).signed)


def compute_features(
    trials: Iterable[TrialSpec],
    source: DataSource,
    *,
    device: torch.device,
    n_threads: int,
    progress: OnImages | None = None,
) -> None:
    """Compute the features that trials will need, in one pass before the first of them starts.

    Args:
        trials: of which some may see images; these need none.
        source: where the images lie.
        device: what features are computed on.
        n_threads: of the CPU.
        progress: takes what is computed, the features done, and all that are to be done.

    Raises:
        UserError: an encoder that cannot be had, data that are absent, or a cache that cannot be
            written.
    """
    for spec in trials:
        pipeline = resolve(spec)
        if not pipeline.training.on_stored or not spec.task.image_size:
            continue
        prepared = prepare_dataset(spec.task.dataset, source, spec.task.image_size, progress)
        task = build_task(prepared.table, spec.task, prepared.fingerprint, source)
        told = progress and partial(progress, f"features of {spec.task.dataset}")
        stored_features(prepared, task, pipeline, device=device, n_threads=n_threads, progress=told)


def load_trunk(training: TrainingConfig, image_size: int, device: torch.device) -> Encoder:
    """Return the encoder that features are computed with, as it is when pools are filled.

    Raises:
        UserError: an encoder that cannot be had.
    """
    encoder = load_encoder(_both(training), _SEED, image_size=image_size).eval()
    return encoder.to(device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def asked_trunk(training: TrainingConfig, image_size: int) -> Encoder:
    """Return the same encoder on the CPU, giving the features alone that the config asks for."""
    return load_encoder(training, _SEED, image_size=image_size).eval()


def features_of_pixels(
    trunk: Encoder,
    training: TrainingConfig,
    pixels: UInt8[np.ndarray, "images size size 3"],
    device: torch.device,
    n_threads: int,
) -> Float32[np.ndarray, "images width"]:
    """Return the features of new images as a pool would hold those of their test view.

    Args:
        trunk: of `load_trunk`.
        training: the config, which says what layers are asked for.
        pixels: of the images.
        device: that the trunk is on.
        n_threads: of the CPU.
    """

    def view_of(batch: Rows) -> torch.Tensor:
        return make_view("test", torch.from_numpy(pixels[batch]).to(device), _SEED)

    with _one_thread_each(n_threads) as threads:
        every = np.arange(len(pixels), dtype=np.int64)
        features = _in_batches(trunk, view_of, threads, every)
    return features[:, _columns(training, trunk.facts)]


def _drawn_views(pipeline: Pipeline) -> set[View]:
    """Return the views of train that both stages draw, without the test view."""
    if pipeline.training.tune == "frozen":
        return set()
    of_stage1: list[View] = [
        view_named(w, pipeline.training) for w in pipeline.representation.views
    ]
    of_stage2 = pipeline.calibration.views(pipeline.calibration_config)
    return {view for view in (*of_stage1, *of_stage2) if view != "test"}


def _scaled(
    of_view: Mapping[str, Float32[np.ndarray, "copies images width"]], train: Rows, *, signed: bool
) -> StoredFeatures:
    # Of the training images alone: nothing is learned of val and test, not even a scale.
    seen = of_view["test"][0, train].astype(np.float64)
    scale = 1.0 / max(float(np.sqrt(np.mean(np.square(seen)))), 1e-12)
    return StoredFeatures(of_view, StoredFacts(seen.shape[1], signed, scale))


def _both(training: TrainingConfig) -> TrainingConfig:
    """Return the config of an encoder that gives all layers it has."""
    last = replace(training, features="last")
    has_both = encoder_facts(last).width_penultimate is not None
    return replace(training, features="both") if has_both else last


def _columns(training: TrainingConfig, facts: EncoderFacts) -> slice:
    """Return where in a pool the layers lie that a config asks for: penultimate, then last."""
    encoder_facts(training)  # refuses a layer that the encoder does not have
    n_penultimate = facts.width - facts.width_last
    match training.features:
        case "last":
            return slice(n_penultimate, None)
        case "penultimate":
            return slice(0, n_penultimate)
        case "both":
            return slice(0, None)


def _pool(prepared: PreparedImages, training: TrainingConfig, facts: EncoderFacts) -> FeaturePool:
    of = [VERSION, facts.name, facts.weights, training.pretrained, _SEED, prepared.fingerprint]
    stem = stem_for(training, prepared.image_size)
    # Not named where it is the usual one, so that the pools of earlier versions are opened.
    if stem != stem_for(replace(training, stem="auto"), prepared.image_size):
        of.append(stem)
    name = re.sub(r"\W+", "_", facts.name)
    folder = prepared.folder.with_name(f"{prepared.folder.name}-{name}-{content_hash(of)[:12]}")
    return FeaturePool(folder, len(prepared.table), facts.width)


def _fill(
    pool: FeaturePool,
    wanted: Mapping[View, tuple[int, Rows]],
    prepared: PreparedImages,
    training: TrainingConfig,
    device: torch.device,
    n_threads: int,
    progress: OnFeatures | None,
    on_wait: Callable[[], None],
) -> None:
    total = sum(pool.missing(view, *of_view) for view, of_view in wanted.items())
    if not total:
        return
    # Only now: where all features are there, the encoder is not even loaded.
    encoder = load_trunk(training, prepared.image_size, device)
    done = 0
    with _one_thread_each(n_threads) as threads:
        for view, (n_copies, rows) in wanted.items():
            compute = partial(_features_of, encoder, prepared, view, device, threads)
            told = progress and partial(_tell, progress, done, total)
            done += pool.fill(view, n_copies, rows, compute, told, on_wait)


@contextmanager
def _one_thread_each(n_threads: int) -> Iterator[ThreadPoolExecutor]:
    """Give a thread a core, each on batches of its own: small layers gain little from more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(
            n_threads, initializer=torch.set_num_threads, initargs=(1,)
        ) as threads:
            yield threads
    finally:
        torch.set_num_threads(before)


def _tell(progress: OnFeatures, before: int, total: int, done: int, _: int) -> None:
    progress(before + done, total)


def _features_of(
    encoder: Encoder,
    prepared: PreparedImages,
    view: View,
    device: torch.device,
    threads: ThreadPoolExecutor,
    copy: int,
    rows: Rows,
) -> Float32[np.ndarray, "rows width"]:
    """Return the features of one copy of a view, each batch in a thread."""
    view_of = partial(_view_of, prepared, view, copy, device)
    return _in_batches(encoder, view_of, threads, rows)


def _in_batches(
    encoder: Encoder,
    view_of: Callable[[Rows], torch.Tensor],
    threads: ThreadPoolExecutor,
    rows: Rows,
) -> Float32[np.ndarray, "rows width"]:
    """Return the features of a view of images at `rows`, each batch in a thread."""

    def of_batch(start: int) -> Float32[np.ndarray, "batch width"]:
        batch = rows[start : start + BATCH]
        # Filled up with its first image: kernels, and so the last bits, depend on a batch's size.
        filled = np.concatenate([batch, np.repeat(batch[:1], BATCH - len(batch))])
        with torch.inference_mode():
            features = in_blocks(BATCH, BATCH, lambda part: encoder(view_of(filled[part])))
            return features[: len(batch)].float().cpu().numpy()

    return np.concatenate(list(threads.map(of_batch, range(0, len(rows), BATCH))))


def _view_of(
    prepared: PreparedImages, view: View, copy: int, device: torch.device, rows: Rows
) -> torch.Tensor:
    pixels = torch.from_numpy(prepared.read(rows)).to(device)
    if view == "test":
        return make_view(view, pixels, _SEED)
    ids = [prepared.table.image_ids[row] for row in rows]
    # One image at a time: what a batch draws for an image would depend on its place in it.
    drawn = [
        make_view(view, pixels[n : n + 1], derive_seed(_SEED, view, copy, image_id))
        for n, image_id in enumerate(ids)
    ]
    return torch.cat(drawn).contiguous(memory_format=torch.channels_last)
