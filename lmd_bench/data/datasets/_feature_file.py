"""A person's file of features: ids, a matrix, and labels, groups and splits where it has them.

`.npz`: arrays `ids`, `features`, and `labels`, `groups`, `splits` if there. `.parquet`: columns of
these names, `features` a list in each row; without such a column, all numeric columns that have
another name are the features. `.safetensors`: a tensor `features`, and the rest as JSON lists in
the metadata. Each name may be written without its `s` too. Nothing is unpickled.
"""

import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from lmd_bench.core.errors import UserError

SUFFIXES = (".npz", ".parquet", ".safetensors")
_TEXTS = ("ids", "labels", "groups", "splits")
_MATRIX = "features"


@dataclass(frozen=True, eq=False)
class FeatureFile:
    """What a file of features holds, one row an image."""

    ids: tuple[str, ...]
    matrix: Float32[np.ndarray, "images width"]
    labels: tuple[str, ...] | None
    groups: tuple[str, ...] | None
    splits: tuple[str, ...] | None


def read_feature_file(file: Path, *, to_train: bool = True) -> FeatureFile:
    """Return what a file of features holds, checked.

    Args:
        file: of a known kind.
        to_train: whether the features must tell images apart.

    Raises:
        UserError: it cannot be read, lacks ids or features, or holds features that no classifier
            can be trained on.
    """
    content = _READERS[file.suffix.lower()](file)
    if "ids" not in content or _MATRIX not in content:
        raise UserError(
            f"{file} has {', '.join(sorted(content)) or 'nothing'}, but it needs ids (one an "
            "image) and features (a matrix of one row an image); see docs/features.md."
        )
    texts = {name: _texts(content[name]) for name in _TEXTS if name in content}
    matrix = _matrix(file, content[_MATRIX])
    for name, values in texts.items():
        if len(values) != len(matrix):
            raise UserError(
                f"{file} has {len(values)} {name} for {len(matrix)} rows of features; give one of "
                "each for every image."
            )
    _check_values(file, texts["ids"], matrix, to_train=to_train)
    return FeatureFile(
        texts["ids"], matrix, texts.get("labels"), texts.get("groups"), texts.get("splits")
    )


def _check_values(
    file: Path,
    ids: tuple[str, ...],
    matrix: Float32[np.ndarray, "images width"],
    *,
    to_train: bool,
) -> None:
    bad = ~np.isfinite(matrix).all(axis=1)
    if bad.any():
        raise UserError(
            f"The features of {int(bad.sum())} of {len(matrix)} images in {file} hold NaN or "
            f"infinite values, first {ids[int(bad.argmax())]}; compute them again, or leave these "
            "images out."
        )
    if to_train and n_constant(matrix) == matrix.shape[1]:
        raise UserError(
            f"Each of the {matrix.shape[1]} columns of features in {file} has one value for all "
            "images, so they tell nothing apart; export the features again."
        )


def n_constant(matrix: Float32[np.ndarray, "images width"]) -> int:
    """Return how many columns have one value for all images."""
    return int((matrix == matrix[0]).all(axis=0).sum())


def _matrix(file: Path, values: Any) -> Float32[np.ndarray, "images width"]:
    matrix = np.asarray(values)
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiu" or 0 in matrix.shape:
        raise UserError(
            f"The features in {file} are {matrix.dtype} of shape {list(matrix.shape)}; give a "
            "matrix of numbers, one row an image and one column a feature."
        )
    # What overflows float32 becomes infinite, and is refused as such.
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(matrix, dtype=np.float32)


def _texts(values: Any) -> tuple[str, ...]:
    return tuple("" if value is None else str(value) for value in values)


def _read_npz(file: Path) -> Mapping[str, Any]:
    try:
        # Opened here: numpy leaves a file that is no archive open.
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            if not isinstance(arrays, np.lib.npyio.NpzFile):
                raise _unreadable(file, "it is no archive of arrays")
            return {_plural(name): arrays[name] for name in arrays.files}
    # numpy tells by ValueError alone of pickles, and of arrays that are cut short.
    except ValueError as error:
        if "pickle" in str(error):
            raise UserError(
                f"{file} holds pickled objects, which are never opened, for they may run code; "
                "save ids and labels as arrays of text: numpy.array(ids, dtype=str)."
            ) from error
        raise _unreadable(file, str(error)) from error
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, struct.error) as error:
        raise _unreadable(file, str(error)) from error


def _read_parquet(file: Path) -> Mapping[str, Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(file)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(file, str(error)) from error
    columns = {_plural(name): table[name] for name in table.column_names}
    content = {name: columns[name].to_pylist() for name in _TEXTS if name in columns}
    if _MATRIX in columns:
        return content | {_MATRIX: _listed(file, content.get("ids"), columns[_MATRIX])}
    numeric = [
        column
        for name, column in columns.items()
        if name not in _TEXTS
        and (pa.types.is_floating(column.type) or pa.types.is_integer(column.type))
    ]
    # An absent value of a column becomes NaN, and is refused as such.
    if numeric:
        return content | {_MATRIX: np.stack([np.asarray(c, dtype=np.float64) for c in numeric], 1)}
    return content


def _listed(file: Path, ids: list[Any] | None, column: Any) -> Any:
    """Return the matrix of a column of lists, which must be equally long."""
    rows = column.to_pylist()
    widths = [len(row) if isinstance(row, list) else 0 for row in rows]
    if len(set(widths)) > 1:
        usual = max(set(widths), key=widths.count)
        first = next(i for i, width in enumerate(widths) if width != usual)
        raise UserError(
            f"The features in {file} are not of one width: most images have {usual}, but "
            f"{ids[first] if ids else f'row {first + 1}'} has {widths[first]}; export them again "
            "from one encoder."
        )
    return np.array(rows, dtype=np.float64)


def _read_safetensors(file: Path) -> Mapping[str, Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as opened:
            tensors = {_plural(name): opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            about = opened.metadata() or {}
        texts = {_plural(name): json.loads(text) for name, text in about.items()}
    except json.JSONDecodeError as error:
        raise _unreadable(file, f"its metadata are no JSON lists, {error}") from error
    # A type that numpy has not, like bfloat16, is a TypeError or an AttributeError.
    except (OSError, SafetensorError, TypeError, AttributeError) as error:
        raise _unreadable(file, str(error)) from error
    lists = {name: values for name, values in texts.items() if isinstance(values, list)}
    return tensors | lists


_READERS = {".npz": _read_npz, ".parquet": _read_parquet, ".safetensors": _read_safetensors}


def _plural(name: str) -> str:
    return f"{name}s" if f"{name}s" in (*_TEXTS, _MATRIX) else name


def _unreadable(file: Path, reason: str) -> UserError:
    return UserError(
        f"The file of features {file} cannot be read ({' '.join(reason.split())}); export it "
        "again, or copy the whole of it."
    )
