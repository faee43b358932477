"""Whether the metrics of a row follow from its logits."""

from collections.abc import Mapping
from math import inf, isclose, isnan
from typing import Any

import numpy as np

from lmd_bench.core.schema import Row
from lmd_bench.stats.metrics import (
    METRICS,
    evaluate,
    evaluate_further,
    evaluate_scaled,
    images_of_classes,
    per_class_recall,
)
from lmd_bench.stats.probabilities import best_temperature
from lmd_bench.store.from_logits import weights_of
from lmd_bench.store.roundings import are_rounded
from lmd_bench.store.store import SplitLogits

_WHOLE = {"rel_tol": 1e-6, "abs_tol": 1e-7}  # another BLAS may round otherwise
_ROUNDED = {"rel_tol": 5e-5, "abs_tol": 5e-5}  # equal at four digits
_FITTED = {"rel_tol": 5e-4}  # a temperature is the lowest point of a flat curve
_LISTED = 3
# What rows of earlier versions hold as null, and every command takes from the logits.
_LATER = frozenset(
    ("val_counts", "test_counts", *(f"test_{m.name}" for m in METRICS.values() if not m.on_val))
)


def contradicted(
    row: Row, logits: Mapping[str, SplitLogits], *, complete: bool = False
) -> tuple[tuple[str, ...], str]:
    """Return the columns of a row that its logits contradict, and what is wrong, in words.

    Metrics of rounded logits are compared at four digits. Where a row has to be `complete`, one
    that is null does not follow, unless earlier versions had none. No columns and a text: the
    logits are none of that row's classes. Neither: all follows.
    """
    if not logits:
        return (), ""
    n_classes = len(row["class_names"])
    values: dict[str, Any] = {}
    for split, (_, labels, z) in logits.items():
        fits = z.ndim == 2 and z.shape[1] == n_classes and np.isfinite(z).all()
        if split not in ("val", "test") or not fits or not (labels >= 0).all():
            return (), f"{split}: not numbers of {n_classes} classes"
        if labels.max(initial=0) >= n_classes:
            return (), f"{split}: a label of no class"
        values |= _of_split(split, labels, z, row)
    if "val" in logits and (complete or row["temperature"] is not None):
        values |= _scaled(row, logits)
    rounded = all(are_rounded(z) for _, _, z in logits.values())
    wrong = {
        name: f"{name} is {row[name]}, the logits give {value}"
        for name, value in values.items()
        if (row[name] is not None or (complete and name not in _LATER))
        and not _same(row[name], value, _tolerance(name, rounded=rounded))
    }
    return tuple(wrong), "; ".join(list(wrong.values())[:_LISTED])


def _of_split(split: str, labels: Any, z: Any, row: Row) -> dict[str, Any]:
    weights = weights_of(row["protocol"], labels)
    values: dict[str, Any] = evaluate(labels, z, tuple(row["groups"]), weights)
    if split == "test":
        values |= evaluate_further(labels, z, weights)
    values |= {
        "recall": per_class_recall(labels, z).tolist(),
        "counts": images_of_classes(labels, z).tolist(),
    }
    return {f"n_{split}": len(labels)} | {f"{split}_{k}": value for k, value in values.items()}


def _scaled(row: Row, logits: Mapping[str, SplitLogits]) -> dict[str, Any]:
    _, labels, z = logits["val"]
    temperature = best_temperature(labels, z, weights_of(row["protocol"], labels))
    columns: dict[str, Any] = {"temperature": temperature}
    if "test" in logits:
        _, labels, z = logits["test"]
        weights = weights_of(row["protocol"], labels)
        told = row["temperature"]
        # By the one that is told, as far as it is a temperature: the one found here is as good.
        used = told if told is not None and 0 < told < inf else temperature
        scaled = evaluate_scaled(labels, z, used, weights)
        columns |= {f"test_scaled_{name}": value for name, value in scaled.items()}
    return columns


def _tolerance(name: str, *, rounded: bool) -> Mapping[str, float]:
    if not rounded:
        return _WHOLE
    return _FITTED if name == "temperature" else _ROUNDED


def _same(stored: Any, value: Any, tolerance: Mapping[str, float]) -> bool:
    if isinstance(stored, list):
        pairs = zip(stored, value, strict=False)
        return len(stored) == len(value) and all(_same(*pair, tolerance) for pair in pairs)
    # An undefined recall is NaN in the logits' numbers, and NaN or null in the row.
    if stored is None or isnan(stored):
        return value is None or (not isinstance(value, list) and isnan(value))
    return isclose(stored, value, **tolerance)
