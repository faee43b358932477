"""What two rows of one trial differ in: what came out, and what it was made with."""

import json
from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np

from lmd_bench.core.schema import Row
from lmd_bench.store.columns import COLUMNS
from lmd_bench.store.roundings import are_less_first, less_first, round_logits, roundings_of

Logits = Mapping[
    str, tuple[tuple[str, ...], np.ndarray, np.ndarray]
]  # ids, labels, logits by split

OUTCOME = (  # columns that a trial gives and that must not differ at all
    *("status", "cause", "best_epoch", "curve", "class_names", "class_counts", "groups"),
    *("n_train", "n_val", "n_test", "encoder_key", "temperature"),
    *(name for name in COLUMNS.names if name.startswith(("val_", "test_"))),
)
_PROVENANCE = ("package_version", "git_commit", "python_version", "device", "n_threads")


def differences(row: Row, again: Row) -> list[str]:
    """Return a sentence for each outcome that is not bit-equal; NaN equals NaN.

    What the row did not measure is not compared.
    """
    return [
        f"{name}: {_short(row[name])} there, {_short(again[name])} here"
        for name in OUTCOME
        if row[name] is not None and _text(row[name]) != _text(again[name])
    ]


def unmeasured(row: Row, again: Row) -> list[str]:
    """Return the columns that an earlier package, which wrote the row, did not measure yet."""
    return [name for name in OUTCOME if row[name] is None and again[name] is not None]


def logit_differences(stored: Logits, again: Logits) -> list[str]:
    """Return a sentence for each stored split whose logits are not bit-equal.

    A split that was not stored says nothing. Where one side was rounded, or told from the first
    class's, the other is too.
    """
    sentences: list[str] = []
    for split in sorted(stored):
        if split not in again:
            sentences.append(f"{split} logits: only there")
            continue
        (ids, labels, old), (new_ids, new_labels, new) = stored[split], again[split]
        if ids != new_ids or not np.array_equal(labels, new_labels):
            sentences.append(f"{split} logits: of other images, in another order, or other labels")
            continue
        if old.shape != new.shape:
            sentences.append(
                f"{split} logits: of {old.shape[1]} classes there, {new.shape[1]} here"
            )
            continue
        if old.tobytes() == new.tobytes():
            continue
        roundings = chain(roundings_of(old), roundings_of(new))
        last = less_first if are_less_first(old) or are_less_first(new) else np.asarray
        alike = ((last(round_logits(old, way)), last(round_logits(new, way))) for way in roundings)
        nearest = next(alike, (old, new))
        if not any(a.tobytes() == b.tobytes() for a, b in chain([nearest], alike)):
            gap = np.abs(nearest[0] - nearest[1]).max()
            sentences.append(f"{split} logits: they differ by at most {gap:.3g}")
    return sentences


def provenance_differences(row: Row, again: Row) -> list[str]:
    """Return a sentence for each provenance field that differs."""
    pairs = [(name, row[name], again[name]) for name in _PROVENANCE]
    libraries = [json.loads(side["library_versions_json"]) for side in (row, again)]
    pairs += [
        (n, libraries[0].get(n), libraries[1].get(n))
        for n in sorted({*libraries[0], *libraries[1]})
    ]
    return [
        f"{name}: {text_of(stored)} there, {text_of(current)} here"
        for name, stored, current in pairs
        if stored != current
    ]


def text_of(value: Any) -> str:
    """Return a value as text; None is not known."""
    return "not known" if value is None else str(value)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)  # floats by repr, which is exact; NaN is NaN


def _short(value: Any) -> str:
    text = _text(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
