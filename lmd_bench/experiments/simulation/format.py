"""The documented format of an exported table: its columns, and search spaces as plain JSON."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from lmd_bench.methods.space import Space

NAME, VERSION = "lmd-bench table", 1
CONFIGS, CURVES, SPACE = "configs.parquet", "curves.parquet", "space.json"
OBJECTIVE = "val_balanced_accuracy"

_TEXT, _REAL, _INT = pa.string(), pa.float64(), pa.int32()


def _column(name: str, kind: pa.DataType, *, null: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=null)


CONFIG_COLUMNS = pa.schema(
    [
        _column("study", _TEXT),
        _column("key", _TEXT),
        _column("trial_number", _INT),
        _column("status", _TEXT),
        _column("is_default", pa.bool_()),
        _column("config_json", _TEXT),
        _column("encoder", _TEXT),
        _column("encoder_rank", _INT, null=True),
        _column("encoder_score", _REAL, null=True),
        _column(OBJECTIVE, _REAL, null=True),
        _column("seconds", _REAL),
        _column("alone_seconds", _REAL),
        _column("deferral", _REAL),
        _column("test_balanced_accuracy", _REAL, null=True),
        _column("n_confirmed", _INT),
    ]
)
CURVE_COLUMNS = pa.schema(
    [
        _column("study", _TEXT),
        _column("key", _TEXT),
        _column("epoch", _INT),
        _column(OBJECTIVE, _REAL),
    ]
)
MEANINGS = {
    CONFIGS: {
        "study": "id of the study, as in `studies`",
        "key": "hash that names the trial",
        "trial_number": "number of the trial within its study, from 0",
        "status": "ok, pruned (ended early by the study's own pruner), or how it failed",
        "is_default": "whether the config is the method's default",
        "config_json": "complete config: section.key -> value",
        "encoder": "hash of all that shaped stage 1; trials that share it share stage 1",
        "encoder_rank": "rank on val of the encoder a staged calibration stands on; else null",
        "encoder_score": "balanced accuracy on val by which encoders are ranked; null if not ok",
        OBJECTIVE: "mean recall over classes on val, of the final classifier; null if not ok",
        "seconds": "wall-clock seconds that it cost where it ran",
        "alone_seconds": "seconds with the training of its own stage 1",
        "deferral": "share of stage 1 before which a pruner may not judge this config",
        "test_balanced_accuracy": "on test, mean over retrainings; null where not confirmed",
        "n_confirmed": "retrainings with fresh seeds in that mean",
    },
    CURVES: {
        "study": "id of the study",
        "key": "hash that names the trial",
        "epoch": "epoch of stage 1, from 1",
        OBJECTIVE: "mean recall over classes on val after that epoch of stage 1",
    },
}


def space_to_json(space: Space) -> dict[str, dict[str, Any]]:
    """Return a space as the YAML files of search spaces write it."""
    return {key: _to_json(within) for key, within in space.items()}


def space_from_json(data: Mapping[str, Mapping[str, Any]]) -> Space:
    """Return the space that `space_to_json` wrote.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    return {key: _from_json(entry) for key, entry in data.items()}


def _to_json(within: BaseDistribution) -> dict[str, Any]:
    if isinstance(within, CategoricalDistribution):
        return {"type": "categorical", "choices": list(within.choices)}
    assert isinstance(within, FloatDistribution | IntDistribution)
    ends = {"low": within.low, "high": within.high, "log": within.log}
    if isinstance(within, IntDistribution):
        return {"type": "int", **ends, "step": within.step}
    return {"type": "float", **ends}


def _from_json(entry: Mapping[str, Any]) -> BaseDistribution:
    match entry["type"]:
        case "categorical":
            return CategoricalDistribution(entry["choices"])
        case "int":
            return IntDistribution(entry["low"], entry["high"], entry["log"], entry["step"])
        case "float":
            return FloatDistribution(entry["low"], entry["high"], log=entry["log"])
        case other:
            raise ValueError(f"type {other!r}")
