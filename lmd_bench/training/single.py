"""One trial in this process, without Ray."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lmd_bench.core import paths
from lmd_bench.core.options import from_keywords
from lmd_bench.core.schema import (
    DataSource,
    OnEpoch,
    Scalar,
    TaskSpec,
    TrialRow,
    TrialSpec,
    no_report,
)
from lmd_bench.data.build import OnImages, build_tasks, task_specs
from lmd_bench.data.options import TaskAndData
from lmd_bench.methods.backbones import encoder_version
from lmd_bench.methods.catalogue import resolve_method
from lmd_bench.methods.settings import check_keys, default_config, parse_settings, setting_texts
from lmd_bench.methods.tuning import check_tuning, for_features
from lmd_bench.store.store import open_store
from lmd_bench.training.device import context_here, device_of


def train_trial(
    dataset: str,
    method: str,
    *,
    imbalance_factor: float | int | None = None,
    epochs: int = 10,
    seed: int = 0,
    settings: Mapping[str, Scalar] | None = None,
    results: str | Path | None = None,
    on_epoch: OnEpoch = no_report,
    **options: Any,
) -> TrialRow:
    """Train one trial in this process, without Ray, judge it on val, and return its row.

    Args:
        dataset: Name of a data set.
        method: Name of a method, or representation+calibration.
        imbalance_factor: n_max / n_min of train; None keeps what exists.
        epochs: Of stage 1.
        seed: Of the training.
        settings: Hyperparameters in place of the defaults, as {"training.batch_size": 64}.
        results: Folder that keeps the row; `results/runs` if not given.
        on_epoch: Is told of each epoch.
        options: Those of `TaskOptions` and `DataOptions`: image_size, n_max, data_root, ...

    Raises:
        UserError: an unknown name or option, or data that are absent.
    """
    asked = from_keywords(TaskAndData, options)
    cut = asked.task
    # The number is hashed into the row's key, where 5 and 5.0 differ.
    factor = None if imbalance_factor is None else float(imbalance_factor)
    (task,) = task_specs([dataset], [factor], *cut.ways)
    return train_one(
        task,
        method,
        epochs,
        seed,
        setting_texts(settings or {}),
        Path(results or paths.default_results()).resolve(),
        asked.data.source(cut.split_dir),
        "",
        on_epoch,
    )


def train_one(
    task: TaskSpec,
    method_name: str,
    n_epochs: int,
    seed: int,
    settings: list[str],
    results: Path,
    source: DataSource,
    command: str,
    on_epoch: OnEpoch = no_report,
    on_images: OnImages | None = None,
) -> TrialRow:
    """Run one trial of a method, and return its row.

    Raises:
        UserError: unknown names, settings that are not allowed, or data that are not there.
    """
    method = resolve_method(method_name)
    overrides: dict[str, Scalar] = parse_settings(settings)
    check_keys(overrides, [method])
    is_default, has_images = not overrides, bool(task.image_size)
    config = default_config(method, overrides if has_images else for_features(overrides))
    check_tuning([(method, config)], has_images=has_images)
    # First the images: where they are absent, nothing is made.
    ((task, fingerprint),) = build_tasks([task], source, on_images)
    open_store(results, create=True)
    spec = TrialSpec(
        task=task,
        task_fingerprint=fingerprint,
        method=method.name,
        representation=method.representation,
        calibration=method.calibration,
        config=config,
        seed=seed,
        n_epochs=n_epochs,
        phase="single",
        study=f"single/{method.name}",
        versions={**method.versions, **encoder_version(config)},
    )
    context = replace(context_here(results, task.dataset, source, command), is_default=is_default)
    from lmd_bench.training.features import compute_features
    from lmd_bench.training.trial import execute_trial

    device, n_threads = device_of(context), context.n_threads
    compute_features([spec], source, device=device, n_threads=n_threads, progress=on_images)
    return execute_trial(spec, context, on_epoch)
