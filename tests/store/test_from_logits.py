import numpy as np
import pyarrow as pa
import pytest

from lmd_bench.stats.metrics import METRICS, equal_prior
from lmd_bench.store.columns import COLUMNS
from lmd_bench.store.from_logits import columns_of, filled, weights_of
from lmd_bench.store.store import open_store
from tests.store.test_results import a_row

LABELS = np.array([0, 0, 1, 3])
LOGITS = np.array([[2, 1, 0, 0], [0, 1, 0, 0], [0, 2, 1, 0], [0, 1, 0, 3]], dtype=np.float32)
SPLIT = (("a", "b", "c", "d"), LABELS, LOGITS)


def test_counts_are_kept_of_each_split_and_further_metrics_of_test() -> None:
    found = columns_of({"val": SPLIT, "test": SPLIT}, "lmd")

    assert found["val_counts"] == found["test_counts"] == [2, 1, 0, 1]
    further = [name for name, metric in METRICS.items() if not metric.on_val]
    for name in further:
        value = METRICS[name].value(LABELS, LOGITS)
        assert found[f"test_{name}"] == pytest.approx(value, nan_ok=True)
    assert set(found) == {"val_counts", "test_counts", *(f"test_{name}" for name in further)}
    assert set(found) <= set(COLUMNS.names)


def test_what_is_computed_later_is_of_the_prior_that_the_protocol_stands_for() -> None:
    equal, natural = (columns_of({"test": SPLIT}, name) for name in ("balanced_v2", "natural"))

    weights = equal_prior(LABELS)
    assert equal["test_mcc"] == METRICS["mcc"].value(LABELS, LOGITS, weights=weights)
    assert equal["test_mcc"] != natural["test_mcc"] == METRICS["mcc"].value(LABELS, LOGITS)


def test_protocols_whose_val_and_test_are_samples_of_the_data_weight_no_image() -> None:
    for protocol in ("balanced", "natural", "lmd", "official"):
        assert weights_of(protocol, LABELS) is None
    weights = weights_of("balanced_v2", LABELS)
    assert weights is not None
    assert weights.tolist() == [0.5, 0.5, 1.0, 1.0]


def test_what_a_row_holds_already_stays(tmp_path) -> None:
    store = open_store(tmp_path, create=True)
    row = a_row(0, test_balanced_accuracy=0.5, test_mcc=0.125)
    images = [(i, "test", int(y), z.tolist()) for i, y, z in zip(*SPLIT, strict=True)]
    store.write(row, images)

    (found,) = filled(pa.Table.from_pylist([row], COLUMNS), store).to_pylist()

    assert found["test_mcc"] == 0.125
    assert found["test_counts"] == [2, 1, 0, 1]
    assert found["test_macro_auc"] is not None
    before = {name: value for name, value in row.items() if value is not None}
    assert {name: found[name] for name in before} == before
