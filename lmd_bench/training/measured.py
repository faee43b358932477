"""What a row says of the device, of the epochs, and of how a trial failed."""

import os
import traceback
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from lmd_bench.core.errors import DivergedError, OvertimeError, PrunedError
from lmd_bench.core.schema import Progress, Status, TrialContext, TrialSpec
from lmd_bench.training.limits import Watch

Row = dict[str, Any]


def device_of(context: TrialContext) -> torch.device:
    """Return the device that a context asks for."""
    if context.device != "auto":
        return torch.device(context.device)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_columns(device: torch.device, context: TrialContext) -> Row:
    """Return what the trial ran on."""
    if device.type == "cpu":
        return {"device": "cpu", "n_threads": context.n_threads}
    return {
        "device": torch.cuda.get_device_name(device),
        "n_threads": context.n_threads,
        "peak_memory_mib": torch.cuda.max_memory_allocated(device) / 2**20,
    }


def curve_columns(points: Iterable[Progress]) -> list[Row]:
    """Return the epochs as the row keeps them."""
    return [
        {
            "stage": point.stage,
            "epoch": point.epoch,
            "loss": point.loss,
            "val_balanced_accuracy": point.val_balanced_accuracy,
        }
        for point in points
    ]


def failure_columns(error: Exception, spec: TrialSpec, context: TrialContext, watch: Watch) -> Row:
    """Return what is known of a trial that ended with an error, and keep its traceback."""
    status = _status(error)
    if status not in ("pruned", "timeout"):  # these are no mistakes
        _write_traceback(error, spec, context)
    return {
        "status": status,
        "cause": " ".join(f"{type(error).__name__}: {error}".split())[:300],
        "encoder_key": spec.encoder_key,
        "fidelity": watch.n_epochs,
        "curve": curve_columns(p for p in watch.seen if np.isfinite(p.loss)),
        **device_columns(device_of(context), context),
    }


def _write_traceback(error: Exception, spec: TrialSpec, context: TrialContext) -> None:
    folder = context.results / "tracebacks"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{spec.key}.{os.getpid()}.tmp"
    temporary.write_text("".join(traceback.format_exception(error)))
    temporary.replace(folder / f"{spec.key}.txt")


def _status(error: Exception) -> Status:
    match error:
        case PrunedError():
            return "pruned"
        case OvertimeError():
            return "timeout"
        case DivergedError():
            return "diverged"
        case torch.OutOfMemoryError() | MemoryError():
            return "oom"
        case _:
            return "error"
