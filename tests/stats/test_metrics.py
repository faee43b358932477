import subprocess
import sys
from math import isnan

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    cohen_kappa_score,
    f1_score,
    log_loss,
    matthews_corrcoef,
    recall_score,
    roc_auc_score,
)

from lmd_bench.stats import metrics
from lmd_bench.stats.probabilities import best_temperature, log_probabilities


def one_hot(predicted: list[int], n_classes: int) -> np.ndarray:
    """Logits whose highest column is the predicted class."""
    return np.eye(n_classes, dtype=np.float32)[predicted]


@pytest.fixture
def by_hand() -> tuple[np.ndarray, np.ndarray]:
    # class 0: 3 of 4 right; class 1: 1 of 2; class 2: 0 of 1; class 3 has no image
    labels = np.array([0, 0, 0, 0, 1, 1, 2], dtype=np.int64)
    return labels, one_hot([0, 0, 0, 1, 1, 3, 0], 4)


def random_case(dtype: type) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 5, 200)
    return labels, generator.normal(size=(200, 5)).astype(dtype)


def test_recall_of_each_class_and_nan_without_images(by_hand) -> None:
    recall = metrics.per_class_recall(*by_hand)

    np.testing.assert_allclose(recall, [0.75, 0.5, 0.0, np.nan], atol=0)


def test_balanced_accuracy_averages_the_classes_that_have_images(by_hand) -> None:
    assert metrics.balanced_accuracy(*by_hand) == pytest.approx((0.75 + 0.5 + 0.0) / 3)


def test_macro_f1_by_hand(by_hand) -> None:
    # 0: TP 3, FP 1, FN 1 -> 6/8; 1: TP 1, FP 1, FN 1 -> 2/4; 2: never predicted -> 0
    assert metrics.macro_f1(*by_hand) == pytest.approx((0.75 + 0.5 + 0.0) / 3)


def test_accuracy_is_the_share_of_images(by_hand) -> None:
    assert metrics.accuracy(*by_hand) == pytest.approx(4 / 7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_metrics_agree_with_scikit_learn(dtype: type) -> None:
    labels, logits = random_case(dtype)
    predicted = logits.argmax(axis=1)

    found = metrics.evaluate(labels, logits, ("many", "many", "medium", "few", "few"))

    expected_recall = recall_score(labels, predicted, average=None)
    np.testing.assert_allclose(metrics.per_class_recall(labels, logits), expected_recall)
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert found["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert found["accuracy"] == pytest.approx(accuracy_score(labels, predicted))
    assert found["few_recall"] == pytest.approx(expected_recall[3:].mean())


def test_macro_f1_agrees_with_scikit_learn_over_the_classes_present() -> None:
    labels = np.array([0, 0, 1, 2], dtype=np.int64)
    predicted = [0, 3, 1, 1]

    found = metrics.macro_f1(labels, one_hot(predicted, 5))

    expected = f1_score(labels, predicted, labels=[0, 1, 2], average="macro", zero_division=0)
    assert found == pytest.approx(expected)


def test_on_balanced_data_balanced_accuracy_is_accuracy() -> None:
    labels = np.repeat(np.arange(4), 25)
    logits = np.random.default_rng(1).normal(size=(100, 4))

    assert metrics.balanced_accuracy(labels, logits) == pytest.approx(
        metrics.accuracy(labels, logits)
    )


def test_predicting_one_class_gives_chance() -> None:
    labels = np.array([0] * 90 + [1] * 9 + [2], dtype=np.int64)

    assert metrics.balanced_accuracy(labels, one_hot([0] * 100, 3)) == pytest.approx(1 / 3)


def test_metrics_of_decisions_do_not_change_with_the_scale_and_offset_of_logits() -> None:
    labels, logits = random_case(np.float64)
    groups = ("many", "many", "medium", "few", "few")

    moved = metrics.evaluate(labels, 3.0 * logits - 7.0, groups)
    for name, value in metrics.evaluate(labels, logits, groups).items():
        if name not in {"nll", "brier", "ece"}:  # these judge probabilities
            assert moved[name] == value


def test_no_metric_changes_with_an_offset_of_all_logits() -> None:
    labels, logits = random_case(np.float64)
    groups = ("many", "many", "medium", "few", "few")

    moved = metrics.evaluate(labels, logits - 7.0, groups)
    assert moved == pytest.approx(metrics.evaluate(labels, logits, groups), rel=1e-9)


def test_group_recall_averages_its_classes_and_skips_those_without_images() -> None:
    recall = np.array([0.9, 0.7, np.nan, 0.2])
    groups = ("many", "many", "few", "few")

    assert metrics.group_recall(recall, groups, "many") == pytest.approx(0.8)
    assert metrics.group_recall(recall, groups, "few") == pytest.approx(0.2)


def test_recall_of_an_empty_group_is_nan() -> None:
    assert isnan(metrics.group_recall(np.array([0.9, 0.1]), ("many", "few"), "medium"))


def test_evaluate_names_every_metric_and_group(by_hand) -> None:
    found = metrics.evaluate(*by_hand, ("many", "medium", "few", "few"))

    assert set(found) == {name for name, metric in metrics.METRICS.items() if metric.on_val}
    assert found["many_recall"] == pytest.approx(0.75)


def test_each_metric_is_found_by_its_own_name_and_prefers_the_right_answer() -> None:
    labels = np.array([0, 1, 2, 1])
    right, wrong = 2.0 * np.eye(3)[labels], 2.0 * np.eye(3)[(labels + 1) % 3]
    groups = ("many", "medium", "few")
    for name, metric in metrics.METRICS.items():
        assert metric.name == name
        better = metric.value(labels, right, groups) > metric.value(labels, wrong, groups)
        assert better == metric.higher_is_better, name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_agreement_beyond_chance_is_that_of_scikit_learn(dtype: type) -> None:
    labels, logits = random_case(dtype)
    logits[np.arange(200), labels] += 1  # better than chance
    predicted = logits.argmax(axis=1)

    assert metrics.mcc(labels, logits) == pytest.approx(matthews_corrcoef(labels, predicted))
    assert metrics.kappa(labels, logits) == pytest.approx(cohen_kappa_score(labels, predicted))
    worst = recall_score(labels, predicted, average=None).min()
    assert metrics.worst_class_recall(labels, logits) == pytest.approx(worst)


def test_the_worst_class_is_one_with_images(by_hand) -> None:
    assert metrics.worst_class_recall(*by_hand) == 0.0  # class 2; class 3 has no image


def test_agreement_beyond_chance_by_hand_and_without_meaning() -> None:
    labels = np.array([0, 0, 1, 1])
    # s = 4, c = 3, t = (2, 2), p = (3, 1): (12 - 8) / sqrt((16 - 10) (16 - 8))
    assert metrics.mcc(labels, one_hot([0, 0, 0, 1], 2)) == pytest.approx(4 / 48**0.5)
    # p_o = 3/4, p_e = (2 * 3 + 2 * 1) / 16 = 1/2
    assert metrics.kappa(labels, one_hot([0, 0, 0, 1], 2)) == pytest.approx(0.5)

    assert isnan(metrics.mcc(labels, one_hot([0, 0, 0, 0], 2)))  # one class is predicted
    assert metrics.kappa(labels, one_hot([0, 0, 0, 0], 2)) == 0.0
    one_class = np.zeros(3, dtype=np.int64)
    assert isnan(metrics.mcc(one_class, one_hot([0, 1, 1], 2)))
    assert isnan(metrics.kappa(one_class, one_hot([0, 0, 0], 2)))


def test_rows_hold_the_metrics_they_always_held() -> None:
    stored = {name for name, metric in metrics.METRICS.items() if metric.on_val}
    of_groups = {"many_recall", "medium_recall", "few_recall"}
    of_all = {"balanced_accuracy", "macro_f1", "accuracy", "nll", "brier", "ece"}
    assert stored == of_all | of_groups


def test_a_metric_of_the_one_list_is_in_every_list_of_metrics() -> None:
    script = """
from lmd_bench.stats import metrics
metrics.METRICS["added"] = metrics.Metric(
    "added", "Added", metrics.accuracy, in_board=True, headline=True, objective=True, scaled=True
)
from lmd_bench.experiments.ablation import scores as ablation
from lmd_bench.experiments.reproduce import _JUDGED
from lmd_bench.leaderboard import line
from lmd_bench.leaderboard.studies import scores
from lmd_bench.report.sections.imbalance import _SHOWN
from lmd_bench.search.request import OBJECTIVES
from lmd_bench.store.columns import COLUMNS
from lmd_bench.store.metrics import known_metrics
import numpy as np
stored = {"val_added", "test_added", "test_scaled_added"}
assert stored <= set(COLUMNS.names) and {"val_added", "test_added"} <= set(_JUDGED)
of_scores = (tuple(known_metrics()), scores.STORED)
for names in (*of_scores, line.SCORES, ablation.SCORES, OBJECTIVES, _SHOWN):
    assert "added" in names
from lmd_bench.experiments.ablation import tables
from lmd_bench.leaderboard.tables.columns import USUAL
from lmd_bench.leaderboard.tables.latex import latex
from lmd_bench.report.sections.leaderboard import _SCORES
from lmd_bench.training.measured import temperature_columns
assert "Added" in [column.header for column in USUAL] and "Added" in tables._SHORT.values()
assert "Added" in [score.title for score in _SCORES]
cells = dict.fromkeys(line.line_columns(), 0.5) | {"task": "a task", "label": "a method"}
assert "& Added" in latex([cells], (), (), ())
images = (("a", "b"), np.array([0, 1]), np.eye(2))
scores = {"val": images, "test": images}
assert temperature_columns(scores, "lmd")["test_scaled_added"] == 1.0
assert {"test_added_sd", "default_test_added"} <= set(line.line_columns())
assert "added" in metrics.evaluate(np.array([0, 1]), np.eye(2), ("many", "few"))
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_nan_logits_are_refused_instead_of_scored() -> None:
    logits = np.array([[0.0, np.nan], [1.0, 0.0]])

    with pytest.raises(AssertionError, match="NaN"):
        metrics.accuracy(np.array([0, 0], dtype=np.int64), logits)


def test_no_images_are_refused_instead_of_scored() -> None:
    with pytest.raises(AssertionError, match="no images"):
        metrics.balanced_accuracy(np.array([], dtype=np.int64), np.zeros((0, 3)))


def test_at_an_equal_prior_no_metric_depends_on_how_many_images_of_a_class_were_judged() -> None:
    # every image of class 0 is judged five times, every one of class 1 twice
    generator = np.random.default_rng(0)
    labels, groups = np.repeat(np.arange(3), 40), ("many", "medium", "few")
    logits = generator.normal(size=(120, 3)) + np.eye(3)[labels]
    times = np.array([5, 2, 1])[labels]
    more, more_logits = np.repeat(labels, times), np.repeat(logits, times, axis=0)
    weights = metrics.equal_prior(more)

    for name, metric in metrics.METRICS.items():
        expected = metric.value(labels, logits, groups)
        assert metric.value(more, more_logits, groups, weights) == pytest.approx(expected), name
    assert metrics.accuracy(more, more_logits) != pytest.approx(metrics.accuracy(labels, logits))
    assert best_temperature(more, more_logits, weights) == pytest.approx(
        best_temperature(labels, logits)
    )


def test_weighted_metrics_agree_with_scikit_learn() -> None:
    labels, logits = random_case(np.float64)
    weights = np.random.default_rng(1).uniform(0.1, 3.0, size=len(labels))
    predicted, p = logits.argmax(axis=1), np.exp(log_probabilities(logits))
    binary = np.eye(5)[labels]

    def ours(name: str) -> float:
        return metrics.METRICS[name].value(labels, logits, weights=weights)

    shared = {"sample_weight": weights}
    assert ours("accuracy") == pytest.approx(accuracy_score(labels, predicted, **shared))
    f1 = f1_score(labels, predicted, average="macro", **shared)
    assert ours("macro_f1") == pytest.approx(f1)
    assert ours("mcc") == pytest.approx(matthews_corrcoef(labels, predicted, **shared))
    assert ours("kappa") == pytest.approx(cohen_kappa_score(labels, predicted, **shared))
    assert ours("nll") == pytest.approx(log_loss(labels, p, **shared))
    auc = [roc_auc_score(binary[:, k], p[:, k], **shared) for k in range(5)]
    assert ours("macro_auc") == pytest.approx(np.mean(auc))
    ap = [average_precision_score(binary[:, k], p[:, k], **shared) for k in range(5)]
    assert ours("macro_auprc") == pytest.approx(np.mean(ap))


def test_a_search_can_optimise_these_on_val() -> None:
    objectives = {name for name, metric in metrics.METRICS.items() if metric.objective}
    assert {
        "balanced_accuracy",
        "accuracy",
        "macro_f1",
        "few_recall",
        "medium_recall",
    } <= objectives
    assert not objectives & {"ece", "nll", "macro_auc"}
    assert metrics.METRICS["few_recall"].group == "few"


def test_further_metrics_are_those_that_only_test_is_judged_by() -> None:
    labels = np.array([0, 0, 1, 1, 2])
    logits = np.random.default_rng(0).normal(size=(5, 3))
    further = metrics.evaluate_further(labels, logits, None)
    assert set(further).isdisjoint(
        metrics.evaluate(labels, logits, ("many", "medium", "few"), None)
    )
    for name, value in further.items():
        assert value == pytest.approx(metrics.METRICS[name].value(labels, logits, weights=None))


def test_scores_after_temperature_scaling_are_those_of_the_scaled_logits() -> None:
    labels, logits = random_case(np.float32)
    found = metrics.evaluate_scaled(labels, logits, 2.0)
    assert set(found) == {"nll", "brier", "ece"}
    assert found["nll"] == pytest.approx(metrics.METRICS["nll"].value(labels, logits / 2.0))
    assert found["nll"] != pytest.approx(metrics.METRICS["nll"].value(labels, logits))


def test_a_scaled_score_has_a_name_and_a_note_of_its_own_and_is_no_objective() -> None:
    scaled = metrics.shown_metrics()["scaled_ece"]
    assert (scaled.name, scaled.title) == ("scaled_ece", "ECE, scaled")
    assert scaled.note == "Scaled: after temperature scaling on val."
    assert not scaled.objective
    assert not scaled.is_of_logits
    assert metrics.METRICS["many_recall"].is_of_logits


def test_recalls_of_groups_are_columns_and_can_be_searched_for() -> None:
    groups = [metrics.METRICS[f"{group}_recall"] for group in ("many", "medium", "few")]
    assert all(metric.in_board and metric.objective for metric in groups)
    assert [metric.short for metric in groups] == ["Many", "Med.", "Few"]
