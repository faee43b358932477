"""One trial: the full pipeline, both stages, for one config and seed on one task.

`run_trial` is a plain function that knows nothing of Ray. `execute_trial` wraps it for a worker:
an ordinary failure becomes a row, and the worker writes that row itself. Test is opened here alone,
and only for configs that were chosen before: in confirmation and in transfer.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from lmd_bench.core.errors import DivergedError, UserError, file_error
from lmd_bench.core.schema import (
    JUDGED_ON_TEST,
    DataSource,
    OnEpoch,
    TaskSpec,
    TrialContext,
    TrialRow,
    TrialSpec,
)
from lmd_bench.core.seeding import derive_seed
from lmd_bench.data.batches import ImageSet, StoredViews
from lmd_bench.data.images import prepare as images
from lmd_bench.data.images.near_copy import with_near_copy
from lmd_bench.data.images.prepare import PreparedImages
from lmd_bench.data.table import hashed_groups
from lmd_bench.data.tasks.task import Task, build_task, check_fingerprint, open_test
from lmd_bench.data.views import forget_constants
from lmd_bench.methods.calibration._base import Calibrated, Stage1
from lmd_bench.methods.limits import in_parts, is_out_of_memory, n_parts, recomputes
from lmd_bench.methods.models.encoder import encoder_facts
from lmd_bench.methods.models.model import predict
from lmd_bench.methods.models.precision import check_precision
from lmd_bench.methods.pipeline import resolve
from lmd_bench.methods.settings import swept_settings
from lmd_bench.store.rows import make_row
from lmd_bench.store.store import open_store
from lmd_bench.training.device import (
    check_device,
    device_columns,
    device_of,
    in_own_precision,
    open_pixels,
    same_bits,
)
from lmd_bench.training.encoders import TrialData, cached_features, obtain
from lmd_bench.training.energy import Meter
from lmd_bench.training.features import StoredFeatures, stored_features
from lmd_bench.training.kept import KEEPS_MODEL, ModelFacts, keep_model
from lmd_bench.training.limits import SharedWork, Watch
from lmd_bench.training.measured import (
    Scores,
    curve_columns,
    failure_columns,
    logit_rows,
    metric_columns,
    task_columns,
    temperature_columns,
)

_TASKS: dict[tuple[TaskSpec, DataSource], tuple[PreparedImages, Task]] = {}
# While memory runs out: parts of what is computed at once, and whether activations are kept.
ATTEMPTS = ((1, False), (1, True), (2, True), (4, True), (8, True))


@in_own_precision
def execute_trial(
    spec: TrialSpec,
    context: TrialContext,
    on_epoch: OnEpoch,
    on_wait: Callable[[], None] = lambda: None,
) -> TrialRow:
    """Run a trial, write its row and return it; an ordinary failure is a row with its cause.

    Args:
        spec: what shapes the trial.
        context: where and how it runs.
        on_epoch: is told of each epoch.
        on_wait: is told now and then while it waits for what another trial trains.

    Raises:
        BrokenPlaceError: this machine's GPU or its way to the files; another may run it.
        UserError: the data or the config are not usable; no trial could run.
        torch.AcceleratorError: the GPU refuses this process from now on; a new one may go on.
    """
    started = _now()
    clock = time.perf_counter()
    scores: Scores = {}
    meter: Meter | None = None
    watch = Watch(on_epoch, context, on_wait)
    try:
        with same_bits(context):
            check_device(device_of(context))
            meter = Meter(device_of(context), context.gpu_share)
            measured, scores = _with_less_memory(spec, context, watch)
    except UserError:
        raise
    except OSError as error:
        # No fault of the trial's: it is no row, and runs again.
        raise file_error("A trial could not read or write its files", error) from error
    except Exception as error:
        # A GPU that refuses this process refuses its row too; one without memory does not.
        if isinstance(error, torch.AcceleratorError) and not is_out_of_memory(error):
            raise
        # The worker's border: whatever a stage raises is a row.
        measured = failure_columns(error, spec, context, watch)
    # A worker runs trials of other sizes next, and this one's share of the memory ends with it.
    forget_constants()
    # Only now: until the handler ended, its traceback held the tensors.
    if measured["status"] == "oom":
        torch.cuda.empty_cache()
    # To wait for a worker that trains the same encoder is no cost of this trial.
    seconds = time.perf_counter() - clock - measured.pop("waited", 0.0)
    measured.setdefault("standalone_seconds", seconds)
    if meter is not None:
        measured |= meter.columns()
    row = make_row(
        spec, context, seconds=seconds, started_at=started, finished_at=_now(), **measured
    )
    groups = _groups_of(scores, spec, context)
    try:
        open_store(context.results, create=True).write(row, logit_rows(scores, groups))
    except OSError as error:
        raise file_error("A trial could not write its row", error) from error
    return row


def _with_less_memory(
    spec: TrialSpec, context: TrialContext, on_epoch: Watch
) -> tuple[dict[str, Any], Scores]:
    """Run the trial; where the GPU's memory runs out, again in a way that takes less of it.

    At first activations are computed again, which changes no number. Then halves of a batch,
    quarters, eighths: the gradient is that of the whole batch, accumulated, but what looks at a
    batch as a whole (BatchNorm, contrastive losses, means by class weight such as those of LDAM
    with DRW) sees a part, so the row says how many parts.
    """
    *attempts, (least, _) = ATTEMPTS
    for n, recompute in attempts:
        try:
            with in_parts(n, recompute=recompute):
                return run_trial(spec, context, on_epoch)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        # Outside of the handler, where its traceback holds no tensors any more.
        torch.cuda.empty_cache()
        on_epoch.starts_again()
    with in_parts(least, recompute=True):
        return run_trial(spec, context, on_epoch)


@in_own_precision
def run_trial(
    spec: TrialSpec, context: TrialContext, on_epoch: OnEpoch
) -> tuple[dict[str, Any], Scores]:
    """Run both stages and judge the result on val; in confirmation on test as well.

    Args:
        spec: what shapes the trial.
        context: where and how it runs.
        on_epoch: is told of each epoch.

    Returns:
        what was measured, as columns of the row; and ids, labels and logits by split.

    Raises:
        DivergedError: a loss that is not finite.
        UserError: the data do not give this task, or the CPU only emulates the precision.
    """
    clock = time.perf_counter()
    device = device_of(context)
    check_precision(device)
    torch.set_num_threads(context.n_threads)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        # Beyond its share a trial would take its neighbour's memory.
        share = min(context.gpu_share or 1.0, 1.0)
        # Of the current device, which a device without a number is: torch refuses it by name.
        torch.cuda.set_per_process_memory_fraction(share)
    on_wait = on_epoch.waits if isinstance(on_epoch, Watch) else _wait
    shared = SharedWork(on_wait)
    prepared, task = load_task(spec, context, shared)
    pipeline = resolve(spec)
    stored = stored_features(
        prepared,
        task,
        pipeline,
        device=device,
        n_threads=context.n_threads,
        progress=shared,
        on_wait=shared,
    )
    opened = partial(image_set, prepared, stored, device=device, share=context.gpu_share)
    data = TrialData(
        opened(task.train), opened(task.val), len(task.class_names), stored and stored.facts
    )
    results, mirror = context.results, context.mirror
    encoder = obtain(spec, pipeline, data, results, on_epoch, on_wait, mirror)
    # Features are handed over as a function: a calibration that trains on images needs none.
    stage1 = Stage1(
        encoder.model,
        (data.train, data.val),
        lambda: cached_features(encoder, data),
        seed=derive_seed(spec.seed, "calibration"),
        on_epoch=on_epoch,
    )
    calibrated = pipeline.calibrate(stage1)
    scores: Scores = {"val": _scores(prepared, task.val, calibrated, data.val)}
    # The only place where test is read, and only for a config that was chosen before.
    if spec.phase in JUDGED_ON_TEST:
        test = open_test(prepared.table, task, prepared.fingerprint, context.source)
        scores["test"] = _scores(prepared, test, calibrated, opened(test))
    waited = shared.seconds + encoder.waited
    seconds = time.perf_counter() - clock - waited
    facts = encoder_facts(pipeline.training)
    measured: dict[str, Any] = {
        "status": "ok",
        "waited": waited,
        "encoder_key": encoder.key,
        "encoder_weights": facts.weights,
        "encoder_seen": facts.seen,
        "fidelity": spec.n_epochs,
        "n_micro_batches": encoder.n_micro,
        "n_parts": n_parts(),
        "recomputed": recomputes(),
        "compiled": encoder.compiled,
        "n_swept": swept_settings(spec.calibration, spec.config),
        "best_epoch": encoder.epoch,
        "full_objective_share": pipeline.objective_share(encoder.epoch, spec.n_epochs),
        "probe_val_balanced_accuracy": encoder.probe,
        "curve": curve_columns((*encoder.curve, *calibrated.curve)),
        "feature_drift": list(calibrated.drifts) or None,
        "standalone_seconds": seconds + (encoder.seconds if encoder.cached else 0.0),
        **task_columns(task, scores),
        **device_columns(device, context),
    }
    for split, (_, labels, logits) in scores.items():
        measured |= metric_columns(split, labels, logits, task)
    measured |= temperature_columns(scores, spec.task.protocol)
    if spec.phase in KEEPS_MODEL:
        facts = ModelFacts(
            spec,
            task.class_names,
            measured["temperature"],
            stage1.choices,
            device.type,
            context.n_threads,
            stored=data.stored,
            intensity=prepared.intensity,
        )
        keep_model(context.results, facts, calibrated.model, encoder.file, scores["val"][1:])
    return measured, scores


def _wait(*_: object) -> None:
    """Wait without telling anybody."""


def load_task(
    spec: TrialSpec, context: TrialContext, on_work: Callable[..., None] | None = None
) -> tuple[PreparedImages, Task]:
    """Return the prepared images and the task of a trial, the same objects within a process.

    Args:
        spec: Of the trial.
        context: Where its data lie.
        on_work: Is told now and then while images are prepared, here or by another process.

    Raises:
        UserError: the data on this machine are not those that the trial was planned for.
    """
    asked = (spec.task, context.source)
    # A worker runs many trials of few tasks; its process cuts each task once.
    if asked not in _TASKS:
        _TASKS[asked] = _load_task(*asked, on_work or _wait)
    prepared, task = _TASKS[asked]
    if spec.task_fingerprint:
        check_fingerprint(spec.task, task.fingerprint, expected=spec.task_fingerprint)
    return prepared, task


def _load_task(
    spec: TaskSpec, source: DataSource, on_work: Callable[..., None]
) -> tuple[PreparedImages, Task]:
    prepared = images.prepare(
        spec.dataset, source, spec.image_size, progress=on_work, on_wait=on_work
    )
    return prepared, build_task(prepared.table, spec, prepared.fingerprint, source)


def _scores(
    prepared: PreparedImages, indices: Int64[np.ndarray, " n"], final: Calibrated, split: ImageSet
) -> tuple[tuple[str, ...], Int64[np.ndarray, " n"], Float[np.ndarray, "n classes"]]:
    logits = predict(final.model, split)[1].cpu().numpy()
    if not np.isfinite(logits).all():
        raise DivergedError("the final classifier gives logits that are not finite")
    ids = tuple(prepared.table.image_ids[index] for index in indices)
    return ids, prepared.table.labels[indices], logits


def _groups_of(scores: Scores, spec: TrialSpec, context: TrialContext) -> dict[str, str]:
    """Return the hashed group of each judged image that has one."""
    if not scores:
        return {}
    prepared, _ = load_task(spec, context)
    judged = {image_id for ids, _, _ in scores.values() for image_id in ids}
    return hashed_groups(prepared.table, judged, salt=prepared.fingerprint)


def image_set(
    prepared: PreparedImages,
    stored: StoredFeatures | None,
    rows: Int64[np.ndarray, " n"],
    device: torch.device,
    share: float,
) -> ImageSet:
    """Return the images in these rows of the table, as a trial sees them."""
    labels: Tensor = torch.from_numpy(prepared.table.labels[rows]).to(device)
    if stored is not None:
        return ImageSet(StoredViews(stored.of_view, rows, device), labels)
    return ImageSet(open_pixels(with_near_copy(prepared), rows, device, share), labels)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
