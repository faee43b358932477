"""The columns of the results: the Parquet schemas of a trial's row and of its logits.

docs/results-folder.md says what each column means. A column may be added at any time, if it is
nullable; changing what one means raises `SCHEMA_VERSION`.
"""

import pyarrow as pa

from lmd_bench.stats.metrics import METRICS

_TEXT = pa.string()
_BOOL = pa.bool_()
_INT = pa.int32()
_LONG = pa.int64()
_REAL = pa.float64()
_TEXTS = pa.list_(_TEXT)
_LONGS = pa.list_(_LONG)
_REALS = pa.list_(_REAL)
_POINT = pa.struct(
    [("stage", _TEXT), ("epoch", _INT), ("loss", _REAL), ("val_balanced_accuracy", _REAL)]
)


def _value(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


def _score(name: str) -> pa.Field:
    return pa.field(name, _REAL)


COLUMNS = pa.schema(
    [
        _value("key", _TEXT),
        _value("schema_version", _INT),
        _value("status", _TEXT),
        _value("cause", _TEXT),
        _value("phase", _TEXT),
        _value("study", _TEXT),
        pa.field("repeat_of", _TEXT),
        _value("trial_number", _INT),
        _value("is_default", _BOOL),
        pa.field("proposed_by", _TEXT),
        _value("source_key", _TEXT),
        _value("method", _TEXT),
        _value("representation", _TEXT),
        _value("calibration", _TEXT),
        _value("versions_json", _TEXT),
        _value("dataset", _TEXT),
        _value("protocol", _TEXT),
        pa.field("imbalance_factor", _REAL),
        _value("split_seed", _LONG),
        _value("image_size", _INT),
        pa.field("n_max", _LONG),
        _value("task_fingerprint", _TEXT),
        _value("class_names", _TEXTS),
        _value("class_counts", _LONGS),
        _value("groups", _TEXTS),
        pa.field("n_train", _LONG),
        pa.field("n_val", _LONG),
        pa.field("n_test", _LONG),
        _value("config_json", _TEXT),
        pa.field("encoder", _TEXT),
        pa.field("encoder_start", _TEXT),
        pa.field("encoder_weights", _TEXT),
        pa.field("encoder_seen", _TEXT),
        pa.field("features", _TEXT),
        pa.field("tune", _TEXT),
        _value("encoder_key", _TEXT),
        pa.field("encoder_rank", _INT),
        pa.field("n_stage1_trials", _INT),
        pa.field("n_searched", _INT),
        pa.field("factor_range", _TEXT),
        pa.field("n_swept", _INT),
        _value("seed", _LONG),
        _value("n_epochs", _INT),
        pa.field("fidelity", _INT),
        pa.field("n_micro_batches", _INT),
        pa.field("n_parts", _INT),
        pa.field("recomputed", _BOOL),
        pa.field("compiled", _BOOL),
        pa.field("best_epoch", _INT),
        pa.field("full_objective_share", _REAL),
        pa.field("probe_val_balanced_accuracy", _REAL),
        _value("curve", pa.list_(_POINT)),
        pa.field("feature_drift", _REALS),
        *(_score(f"val_{metric.name}") for metric in METRICS.values() if metric.on_val),
        pa.field("val_recall", _REALS),
        pa.field("val_counts", _LONGS),
        *(_score(f"test_{name}") for name in METRICS),
        pa.field("test_recall", _REALS),
        pa.field("test_counts", _LONGS),
        _score("temperature"),
        *(_score(f"test_scaled_{metric.name}") for metric in METRICS.values() if metric.scaled),
        pa.field("corruption", _TEXT),
        pa.field("strength", _INT),
        _value("seconds", _REAL),
        _value("standalone_seconds", _REAL),
        _value("device", _TEXT),
        pa.field("host", _TEXT),
        pa.field("gpu_uuid", _TEXT),
        pa.field("precision", _TEXT),
        pa.field("cuda_version", _TEXT),
        pa.field("driver_version", _TEXT),
        _value("gpu_share", _REAL),
        _value("n_threads", _INT),
        pa.field("peak_memory_mib", _REAL),
        pa.field("energy_joules", _REAL),
        pa.field("co2_grams", _REAL),
        _value("started_at", _TEXT),
        _value("finished_at", _TEXT),
        _value("command", _TEXT),
        _value("package_version", _TEXT),
        pa.field("git_commit", _TEXT),
        _value("python_version", _TEXT),
        _value("library_versions_json", _TEXT),
    ]
)

LOGITS = pa.schema(
    [
        _value("image_id", _TEXT),
        _value("split", _TEXT),
        _value("label", pa.int16()),
        _value("logits", pa.list_(pa.float32())),
        pa.field("group", _TEXT),
    ]
)
