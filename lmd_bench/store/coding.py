"""Rounded logits as small whole numbers: multiples of their step, told from another trial's.

Seeds of one configuration, and calibrations of one encoder, have logits that are much alike. So a
trial is written as what it differs by from that earlier trial of its row group which leaves the
least, or as it is where none helps, class after class, less each class's median. It is read back
to the bit; what would not be (it was never rounded, or holds a zero of negative sign) stays floats.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from lmd_bench.store.roundings import step_of

_LARGEST = 1 << 28  # what three such make stays within 32 bits

Numbers = Int[np.ndarray, "classes images"]
Logits = Float[np.ndarray, "images classes"]


@dataclass(frozen=True)
class _Read:
    """Logits of a trial that others may be told from."""

    place: int  # in the row group
    split: str
    logits: Logits


def coded(group: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Give the rows of a row group with `step`, `base` and `coded` in place of `logits`.

    Args:
        group: Of each row `split`, `label` and `logits` (image after image) are read.
    """
    before: list[_Read] = []
    for place, row in enumerate(group):
        z = np.array(row["logits"], dtype=np.float32).reshape(max(len(row["label"]), 1), -1)
        step = step_of(z) if z.size else None
        numbers = None if step is None else _multiples(z, step)
        if step is None or numbers is None or _of(numbers, step).tobytes() != z.tobytes():
            yield {**row, "step": None, "base": None, "coded": []}
            continue
        base, rest = _least(numbers, step, row["split"], before)
        yield {**row, "logits": [], "step": step, "base": base, "coded": _packed(rest)}
        before.append(_Read(place, row["split"], z))


def decoded(group: pa.Table) -> pa.Table:
    """Return a row group in which all rows have their logits; the columns of the code are gone.

    Raises:
        ValueError: these are no codes.
    """
    if "coded" not in group.column_names:
        return group  # of an earlier version
    logits: list[np.ndarray] = []
    columns = [group[name].to_pylist() for name in ("step", "base")]
    lists = [group[name].combine_chunks() for name in ("label", "logits", "coded")]
    for place, (step, base) in enumerate(zip(*columns, strict=True)):
        label, z, code = (column[place].values.to_numpy() for column in lists)
        if step is not None:
            numbers = _unpacked(code, len(label))
            if base is not None:
                if not 0 <= base < place:
                    raise ValueError(f"row {place} of a group is told from row {base}")
                told = _multiples(logits[base].reshape(len(label), -1), step)
                if told is None:
                    raise ValueError(f"row {place} of a group is told from too large numbers")
                numbers += told
            z = _of(numbers, step).ravel()
        logits.append(z)
    ends = np.concatenate([[0], np.cumsum([len(z) for z in logits])]).astype(np.int32)
    flat = pa.array(np.concatenate([np.zeros(0, np.float32), *logits]), pa.float32())
    field = group.schema.field("logits")
    return group.set_column(
        group.schema.get_field_index("logits"),
        field,
        pa.ListArray.from_arrays(pa.array(ends), flat, type=field.type),
    ).drop_columns(["step", "base", "coded"])


def _multiples(z: Logits, step: int) -> Numbers | None:
    """Return logits in multiples of 2^-step, class after class; None if they are too large."""
    numbers = np.rint(z.T.astype(np.float64) * 2.0**step)
    return None if np.abs(numbers).max() >= _LARGEST else numbers.astype(np.int32)


def _of(numbers: Numbers, step: int) -> Logits:
    return np.ascontiguousarray((numbers.T * 2.0**-step).astype(np.float32))


def _least(
    numbers: Numbers, step: int, split: str, before: Sequence[_Read]
) -> tuple[int | None, Numbers]:
    """Return the place of the trial that leaves the least to write, None for none, and that."""
    best, rest, least = None, numbers, _bits(numbers)
    for other in before:
        if other.split != split or other.logits.T.shape != numbers.shape:
            continue
        told = _multiples(other.logits, step)
        if told is not None and (bits := _bits(numbers - told)) < least:
            best, rest, least = other.place, numbers - told, bits
    return best, rest


def _bits(numbers: Numbers) -> float:
    """Return about how many bits numbers take."""
    return float(np.log2(1.0 + np.abs(numbers - _medians(numbers))).sum())


def _medians(numbers: Numbers) -> Int[np.ndarray, "classes 1"]:
    return np.rint(np.median(numbers, axis=1, keepdims=True)).astype(np.int32)


def _packed(numbers: Numbers) -> np.ndarray:
    """Return each class's median, then what is left, both as 0, -1, 1, -2, ... = 0, 1, 2, 3, ..."""
    medians = _medians(numbers)
    signed = np.concatenate([medians.ravel(), (numbers - medians).ravel()])
    return (signed << 1) ^ (signed >> 31)


def _unpacked(code: Int[np.ndarray, "numbers"], n_images: int) -> Numbers:  # noqa: F821
    signed = (code >> 1) ^ -(code & 1)
    n_classes = len(code) // (n_images + 1)
    return signed[n_classes:].reshape(n_classes, n_images) + signed[:n_classes, None]
