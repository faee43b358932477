"""Trains the configuration of a run on train and val together; nothing is selected.

Val is empty then, so the last epoch of each stage is kept, and what a calibration chose on val (a
penalty, tau, k) is what it chose in the run. Test stays closed, so no metric of the model is known.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from lmd_bench.core.schema import OnEpoch, TrialContext, TrialSpec, content_hash
from lmd_bench.core.seeding import derive_seed
from lmd_bench.data.tasks.task import Task
from lmd_bench.methods.calibration._base import Stage1
from lmd_bench.methods.pipeline import resolve
from lmd_bench.training.device import device_of, in_own_precision
from lmd_bench.training.encoders import TrialData, cached_features, obtain
from lmd_bench.training.features import stored_features
from lmd_bench.training.kept import ModelFacts, keep_model
from lmd_bench.training.trial import image_set, load_task


@in_own_precision
def train_on_all(
    spec: TrialSpec,
    context: TrialContext,
    choices: Mapping[str, Any],
    temperature: float,
    on_epoch: OnEpoch,
) -> bool:
    """Train on train and val and keep the model beside that of the run, under `<key>-refit`.

    Args:
        spec: of the run.
        context: where and how it is trained; its results folder keeps the model.
        choices: what val decided in the run.
        temperature: of the run.
        on_epoch: is told of each epoch.

    Returns:
        whether the model could be kept.

    Raises:
        DivergedError: a loss that is not finite.
        UserError: the data do not give the task of the run.
    """
    device = device_of(context)
    torch.set_num_threads(context.n_threads)
    prepared, task = load_task(spec, context)
    pipeline = resolve(spec)
    task = together(task, prepared.table.labels)
    stored = stored_features(prepared, task, pipeline, device=device, n_threads=context.n_threads)
    opened = partial(image_set, prepared, stored, device=device, share=context.gpu_share)
    data = TrialData(
        opened(task.train), opened(task.val), len(task.class_names), stored and stored.facts
    )
    # Another task in the eyes of the encoder cache: its encoder is another one.
    of_all = content_hash([spec.task_fingerprint, "train and val"])
    encoder = obtain(
        replace(spec, task_fingerprint=of_all), pipeline, data, context.results, on_epoch
    )
    stage1 = Stage1(
        encoder.model,
        (data.train, data.val),
        lambda: cached_features(encoder, data),
        seed=derive_seed(spec.seed, "calibration"),
        on_epoch=on_epoch,
        choices=choices,
    )
    calibrated = pipeline.calibrate(stage1)
    facts = ModelFacts(
        spec,
        task.class_names,
        temperature,
        stage1.choices,
        device.type,
        context.n_threads,
        refit=True,
        stored=data.stored,
        intensity=prepared.intensity,
    )
    no_val = np.zeros(0, dtype=np.int64), np.zeros((0, len(task.class_names)), dtype=np.float32)
    return keep_model(context.results, facts, calibrated.model, encoder.file, no_val)


def together(task: Task, labels: np.ndarray) -> Task:
    """Return the task whose training images are those of train and val, and whose val is empty.

    Args:
        task: of the run.
        labels: of all images of the data set.
    """
    rows = np.sort(np.concatenate([task.train, task.val]))
    counts = np.bincount(labels[rows], minlength=len(task.class_names))
    return replace(
        task,
        train=rows,
        val=np.zeros(0, dtype=np.int64),
        class_counts=tuple(int(count) for count in counts),
    )
