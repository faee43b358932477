"""Numbers at a prevalence: by hand, against scikit-learn, and as what a sample there would show."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, precision_score, roc_curve

from lmd_bench.stats.deployment import (
    cheapest,
    expected_cost,
    net_benefit,
    predictive_values,
    prevalence_weights,
    sensitivity_at,
    shifted,
    specificity,
)
from lmd_bench.stats.metrics import METRICS

RARE = np.array([0.9, 0.08, 0.02])
LABELS = np.repeat(np.arange(3), 40)
LOGITS = np.random.default_rng(0).normal(size=(120, 3)) + 1.5 * np.eye(3)[LABELS]


def at_prevalence(n: int = 5000) -> np.ndarray:
    """Return images of the test set drawn as often as they would be met."""
    counts = (RARE * n).round().astype(int)
    return np.concatenate([np.resize(np.flatnonzero(k == LABELS), counts[k]) for k in range(3)])


def test_weights_make_the_test_set_one_of_that_prevalence():
    w = prevalence_weights(LABELS, RARE)
    assert np.bincount(LABELS, w) == pytest.approx(RARE)
    drawn = at_prevalence()
    expected = accuracy_score(LABELS[drawn], LOGITS[drawn].argmax(axis=1))
    assert METRICS["accuracy"].value(LABELS, LOGITS, weights=w) == pytest.approx(expected, abs=2e-3)


def test_a_predictive_value_is_the_precision_at_that_prevalence():
    drawn = at_prevalence()
    called = LOGITS[drawn].argmax(axis=1)
    ppv, npv = predictive_values(LABELS, LOGITS, RARE)
    expected = precision_score(LABELS[drawn], called, average=None)
    assert ppv == pytest.approx(expected, abs=5e-3)
    for k in range(3):
        assert npv[k] == pytest.approx((LABELS[drawn] != k)[called != k].mean(), abs=5e-3)
    # A class that is never called has no PPV.
    ppv, _ = predictive_values(LABELS, np.tile([1.0, 0.0, 0.0], (120, 1)), RARE)
    assert np.isnan(ppv[1:]).all()
    assert ppv[0] == pytest.approx(0.9)


def test_ppv_follows_bayes_rule_by_hand():
    # sensitivity 3/4 and specificity 1/2 at a prevalence of 10 %
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    called = np.array([0, 0, 1, 1, 1, 1, 1, 0])
    ppv, npv = predictive_values(labels, np.eye(2)[called], np.array([0.9, 0.1]))
    assert ppv[1] == pytest.approx(0.075 / (0.075 + 0.45))
    assert npv[1] == pytest.approx(0.45 / (0.45 + 0.025))
    assert specificity(labels, np.eye(2)[called], np.array([0.9, 0.1]), 1) == pytest.approx(0.5)


def test_shifting_logits_is_bayes_rule_and_uniform_changes_no_decision():
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    expected = p * RARE / (p * RARE).sum(axis=1, keepdims=True)
    z = shifted(LOGITS, RARE)
    assert np.exp(z) / np.exp(z).sum(axis=1, keepdims=True) == pytest.approx(expected)
    same = shifted(LOGITS, np.full(3, 1 / 3)).argmax(axis=1)
    assert (same == LOGITS.argmax(axis=1)).all()
    # At a prevalence where class 0 is nearly all there is, it wins more often.
    assert (z.argmax(axis=1) == 0).sum() > (LOGITS.argmax(axis=1) == 0).sum()


@pytest.mark.parametrize("least", [0.5, 0.8, 0.9, 0.975])
def test_sensitivity_at_a_specificity_is_on_the_roc_curve(least):
    uniform = np.array([0.5, 0.25, 0.25])
    score = LOGITS - np.log(np.exp(LOGITS).sum(axis=1, keepdims=True))
    fpr, tpr, _ = roc_curve(LABELS == 0, score[:, 0], drop_intermediate=False)
    expected = tpr[fpr <= 1 - least + 1e-9].max()
    assert sensitivity_at(LABELS, LOGITS, uniform, 0, least) == pytest.approx(expected)


def test_a_class_without_images_has_no_sensitivity():
    assert np.isnan(sensitivity_at(np.zeros(5, dtype=np.int64), np.eye(3)[[0] * 5], RARE, 1, 0.9))


def test_a_cost_is_what_decisions_cost_on_average():
    costs = np.array([[0.0, 1.0, 1.0], [5.0, 0.0, 1.0], [20.0, 1.0, 0.0]])
    labels, decided = np.array([0, 0, 1, 2]), np.array([0, 1, 0, 0])
    expected = 0.9 * 0.5 + 0.08 * 5 + 0.02 * 20
    assert expected_cost(labels, decided, RARE, costs) == pytest.approx(expected)
    # 10 % of the class that costs 20 to miss are enough to act: .1 * 20 > .9 * 1
    p = np.log(np.array([[0.9, 1e-9, 0.1], [0.99, 1e-9, 0.01]]))
    assert cheapest(p, costs).tolist() == [2, 0]
    assert cheapest(LOGITS, 1 - np.eye(3)).tolist() == LOGITS.argmax(axis=1).tolist()


def test_net_benefit_is_true_less_false_positives_at_the_odds():
    # at 20 %: 3 of 4 sick and 1 of 4 healthy are above, and the odds are 1/4
    p = np.array([0.1, 0.1, 0.15, 0.3, 0.1, 0.3, 0.6, 0.9])
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    logits = np.log(np.column_stack([1 - p, p]))
    own, everybody = net_benefit(labels, logits, np.array([0.9, 0.1]), 1, 0.2)
    assert own == pytest.approx(0.1 * 0.75 - 0.25 * 0.9 * 0.25)
    assert everybody == pytest.approx(0.1 - 0.25 * 0.9)


def test_specificity_weighs_the_other_classes_by_their_prevalence():
    labels = np.array([0, 0, 1, 2])
    called = np.array([2, 0, 1, 2])
    # Half of class 0, which makes eight of nine others, is called class 2; none of class 1 is.
    prevalence = np.array([0.8, 0.1, 0.1])
    assert specificity(labels, np.eye(3)[called], prevalence, 2) == pytest.approx(5 / 9)
