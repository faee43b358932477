"""What a row says of the device, of the epochs, and of how a trial failed."""

import socket
import traceback
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from jaxtyping import Float, Int64

from lmd_bench.core.errors import DivergedError, OvertimeError, PrunedError
from lmd_bench.core.files import whole_file
from lmd_bench.core.schema import Progress, Status, TrialContext, TrialSpec
from lmd_bench.data.tasks.task import Task
from lmd_bench.methods.limits import is_out_of_memory
from lmd_bench.stats import metrics
from lmd_bench.stats.probabilities import best_temperature
from lmd_bench.store.from_logits import weights_of
from lmd_bench.training.device import device_columns, device_of
from lmd_bench.training.limits import Watch

Scores = dict[str, tuple[tuple[str, ...], Int64[np.ndarray, " images"], np.ndarray]]


def curve_columns(points: Iterable[Progress]) -> list[dict[str, Any]]:
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


def failure_columns(
    error: Exception, spec: TrialSpec, context: TrialContext, watch: Watch
) -> dict[str, Any]:
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
        **_device_as_far_as_known(context),
    }


def metric_columns(
    split: str,
    labels: Int64[np.ndarray, " n"],
    logits: Float[np.ndarray, "n classes"],
    task: Task,
) -> Mapping[str, Any]:
    """Return the metrics of a split, each under the split's name."""
    weights = weights_of(task.spec.protocol, labels)
    values = metrics.evaluate(labels, logits, task.groups, weights)
    if split == "test":
        values |= metrics.evaluate_further(labels, logits, weights)
    recall = metrics.per_class_recall(labels, logits)
    return {f"{split}_{name}": value for name, value in values.items()} | {
        f"{split}_recall": [float(value) for value in recall],
        f"{split}_counts": metrics.images_of_classes(labels, logits).tolist(),
    }


def temperature_columns(scores: Scores, protocol: str) -> dict[str, Any]:
    """Return the temperature chosen on val, and what it does to the probabilities of test."""
    _, val_labels, val_logits = scores["val"]
    val_weights = weights_of(protocol, val_labels)
    temperature = best_temperature(val_labels, val_logits, val_weights)
    if "test" not in scores:
        return {"temperature": temperature}
    _, labels, logits = scores["test"]
    weights = weights_of(protocol, labels)
    scaled = metrics.evaluate_scaled(labels, logits, temperature, weights)
    return {"temperature": temperature} | {
        f"test_scaled_{name}": value for name, value in scaled.items()
    }


def task_columns(task: Task, scores: Scores) -> dict[str, Any]:
    """Return the columns of the task and of the images that were judged."""
    return {
        "class_names": list(task.class_names),
        "class_counts": list(task.class_counts),
        "groups": list(task.groups),
        "n_train": len(task.train),
        "n_val": len(task.val),
        "n_test": len(scores["test"][1]) if "test" in scores else None,
    }


def logit_rows(
    scores: Scores, groups: Mapping[str, str]
) -> list[tuple[str, str, int, list[float], str | None]]:
    """Return the rows of the file of logits: image, split, label, logits, group.

    Args:
        scores: ids, labels and logits by split.
        groups: image -> hash of its group, of the images that have one.
    """
    return [
        (image_id, split, int(label), [float(value) for value in logits], groups.get(image_id))
        for split, (ids, labels, matrix) in scores.items()
        for image_id, label, logits in zip(ids, labels, matrix, strict=True)
    ]


def _device_as_far_as_known(context: TrialContext) -> dict[str, Any]:
    # A GPU that just failed may not even tell its name, and the row is to say how it failed.
    try:
        return dict(device_columns(device_of(context), context))
    except (RuntimeError, AssertionError):
        return {"host": socket.gethostname(), "n_threads": context.n_threads}


def _write_traceback(error: Exception, spec: TrialSpec, context: TrialContext) -> None:
    folder = context.results / "tracebacks"
    # The row is worth more than the traceback; a disk that refuses both is found out by the row.
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(folder / f"{spec.key}.txt") as temporary:
            temporary.write_text("".join(traceback.format_exception(error)))


def _status(error: Exception) -> Status:
    if is_out_of_memory(error):
        return "oom"
    match error:
        case PrunedError():
            return "pruned"
        case OvertimeError():
            return "timeout"
        case DivergedError():
            return "diverged"
        case _:
            return "error"
