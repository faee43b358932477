import numpy as np
import pytest
from sklearn.metrics import matthews_corrcoef

from lmd_bench.core.schema import TaskSpec
from lmd_bench.leaderboard.imbalance.curves import COLUMNS, imbalance_frame, imbalance_text
from lmd_bench.leaderboard.studies.group import group_studies
from lmd_bench.leaderboard.studies.rules import VAL_BALANCED_ACCURACY as RULE
from lmd_bench.leaderboard.studies.scores import COMPUTED, STORED
from lmd_bench.leaderboard.tables.text import Table
from lmd_bench.store.store import open_store


def _task(factor: float | None, **options) -> TaskSpec:
    return TaskSpec(dataset="toy", imbalance_factor=factor, image_size=32, **options)


def test_each_method_has_a_line_for_each_factor_and_metric(study) -> None:
    rows = study("crt", [0.3], {0: [0.5, 0.7]}, task=_task(100.0))
    rows += study("crt", [0.3], {0: [0.8]}, task=_task(10.0))
    rows += study("lmd", [0.3], {0: [0.9]}, task=_task(10.0, split_seed=1))

    frame = imbalance_frame(group_studies(rows), RULE)

    assert tuple(frame.columns) == COLUMNS
    assert len(frame) == 3 * len(STORED)
    assert set(frame["family"]) == {
        "toy · balanced · 32 px",
        "toy · balanced · split 1 · 32 px",
    }
    curve = frame[(frame["label"] == "crt") & (frame["metric"] == "balanced_accuracy")]
    at = curve.set_index("imbalance_factor")
    assert at.loc[100.0, "mean"] == pytest.approx(0.6)
    assert at.loc[100.0, "sd"] == pytest.approx(0.02**0.5)
    assert at.loc[10.0, "mean"] == pytest.approx(0.8)
    assert np.isnan(at.loc[10.0, "sd"])
    assert at.loc[100.0, "measured_factor"] == 100  # 100 against 1 training image


def test_the_repeats_of_one_search_are_one_line(study) -> None:
    rows = []
    for number, scores in enumerate(([0.5, 0.7], [0.8, 0.8])):
        of_search = study("crt", [0.3], {0: scores})
        rows += [row | {"study": f"crt/{number}", "repeat_of": "abc"} for row in of_search]

    frame = imbalance_frame(group_studies(rows), RULE).set_index("metric")

    assert len(frame) == len(STORED)
    line = frame.loc["balanced_accuracy"]
    assert (line["label"], line["n_searches"], line["n_seeds"]) == ("crt", 2, 4)
    assert line["mean"] == pytest.approx(0.7)
    assert line["sd"] == pytest.approx(0.1)  # within a search: of variances .02 and 0
    assert "Where a search was repeated" in imbalance_text(frame.reset_index(), "nll", RULE)[0]


def test_natural_data_have_a_measured_factor(study) -> None:
    frame = imbalance_frame(group_studies(study("crt", [0.3], {0: [0.5]}, task=_task(None))), RULE)

    assert frame["imbalance_factor"].isna().all()
    assert (frame["measured_factor"] == 100).all()


def test_a_metric_that_a_row_lacks_is_nan_and_not_left_out(study) -> None:
    frame = imbalance_frame(group_studies(study("crt", [0.3], {0: [0.5]})), RULE)

    nll = frame[frame["metric"] == "nll"].iloc[0]
    assert np.isnan(nll["mean"])
    assert not nll["higher_is_better"]


def test_what_is_selected_but_not_confirmed_is_missing(study) -> None:
    rows = study("crt", [0.3, 0.5], {0: [0.5]}) + study("helper", [0.3])

    frame = imbalance_frame(group_studies(rows), RULE)

    assert set(frame["label"]) == {"crt"}
    assert frame["mean"].isna().all()
    assert (frame["n_seeds"] == 0).all()


def test_with_the_store_metrics_come_from_logits(tmp_path, study) -> None:
    store = open_store(tmp_path, create=True)
    rows = study("crt", [0.3], {0: [0.5, 0.6]})
    labels = np.repeat(np.arange(4), 5)
    logits = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32) + np.eye(4)[labels]
    images = zip(labels.tolist(), logits.tolist(), strict=True)
    store.write(rows[1], [(str(i), "test", y, z) for i, (y, z) in enumerate(images)])

    frame = imbalance_frame(group_studies(rows[:2]), RULE, store).set_index("metric")

    assert set(COMPUTED) <= set(frame.index)
    expected = matthews_corrcoef(labels, logits.argmax(axis=1))
    assert frame.loc["mcc", "mean"] == pytest.approx(expected)

    both = imbalance_frame(group_studies(rows), RULE, store).set_index("metric")
    assert np.isnan(both.loc["mcc", "mean"])  # the logits of the second run were not kept
    assert both.loc["balanced_accuracy", "mean"] == pytest.approx(0.55)


def test_the_axis_names_the_images_of_train_beside_the_factor(study) -> None:
    frame = imbalance_frame(group_studies(study("crt", [0.3], {0: [0.5]}, task=_task(100.0))), RULE)
    parts = imbalance_text(frame, "accuracy", RULE)
    (table,) = [part for part in parts if isinstance(part, Table)]

    assert table.header[1] == "IF 100\n126 train\nlargest 100"
