"""One trial in this process, without Ray."""

from pathlib import Path
from typing import Any

from lmd_bench.core import paths
from lmd_bench.core.machine import n_cores
from lmd_bench.core.schema import (
    DataSource,
    OnEpoch,
    Scalar,
    TaskSpec,
    TrialContext,
    TrialSpec,
    no_report,
)
from lmd_bench.data.build import build_tasks
from lmd_bench.methods.catalogue import resolve_method
from lmd_bench.methods.space import check_keys, default_config, parse_settings
from lmd_bench.store.store import open_store
from lmd_bench.training.device import n_gpus


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
) -> dict[str, Any]:
    """Run one trial of a method, and return its row.

    Raises:
        UserError: unknown names, settings that are not allowed, or data that are not there.
    """
    method = resolve_method(method_name)
    overrides: dict[str, Scalar] = parse_settings(settings)
    check_keys(overrides, [method])
    config = default_config(method, overrides)
    open_store(results, create=True)
    ((task, fingerprint),) = build_tasks([task], source)
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
        versions=method.versions,
    )
    context = TrialContext(
        results=results,
        source=paths.located(task.dataset, source),
        n_threads=n_cores(),
        gpu_share=float(min(1, n_gpus())),
        is_default=not overrides,
        command=command,
    )
    from lmd_bench.training.trial import execute_trial

    return execute_trial(spec, context, on_epoch)
