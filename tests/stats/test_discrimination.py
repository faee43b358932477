"""One-vs-rest AUC and AUPRC against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from lmd_bench.stats.discrimination import macro_auc, macro_auprc, per_class_auc, per_class_auprc

RNG = np.random.default_rng(0)
LABELS = RNG.choice(4, 300, p=[0.6, 0.25, 0.1, 0.05])
LOGITS = RNG.normal(size=(300, 4)) + 1.5 * np.eye(4)[LABELS]
P = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)


def test_auc_is_that_of_scikit_learn():
    expected = roc_auc_score(LABELS, P, multi_class="ovr", average=None)
    np.testing.assert_allclose(per_class_auc(LABELS, LOGITS), expected)
    assert macro_auc(LABELS, LOGITS) == pytest.approx(np.mean(expected))


def test_auprc_is_that_of_scikit_learn():
    expected = [average_precision_score(index == LABELS, P[:, index]) for index in range(4)]
    np.testing.assert_allclose(per_class_auprc(LABELS, LOGITS), expected)
    assert macro_auprc(LABELS, LOGITS) == pytest.approx(np.mean(expected))


def test_ties_are_counted_as_scikit_learn_counts_them():
    coarse = np.round(LOGITS)  # two classes, so that equal logits are equal probabilities
    two, logits = (LABELS > 0).astype(np.int64), coarse[:, :2]
    scores = logits[:, 1] - logits[:, 0]
    assert len(np.unique(scores)) < 15
    assert per_class_auc(two, logits)[1] == pytest.approx(roc_auc_score(two, scores))
    expected = average_precision_score(two, scores)
    assert per_class_auprc(two, logits)[1] == pytest.approx(expected)


def test_equal_logits_give_chance():
    flat = np.zeros((300, 4))
    np.testing.assert_allclose(per_class_auc(LABELS, flat), 0.5)
    np.testing.assert_allclose(per_class_auprc(LABELS, flat), np.bincount(LABELS) / 300)


def test_a_class_without_images_is_nan_and_not_in_the_mean():
    logits = np.column_stack([LOGITS, RNG.normal(size=300)])
    areas = per_class_auc(LABELS, logits)
    assert np.isnan(areas[4])
    assert macro_auc(LABELS, logits) == pytest.approx(areas[:4].mean())
    assert np.isnan(per_class_auprc(LABELS, logits)[4])


def test_one_class_alone_has_no_area():
    assert np.isnan(macro_auc(np.zeros(3, dtype=np.int64), np.eye(3)))
    assert np.isnan(macro_auprc(np.zeros(3, dtype=np.int64), np.eye(3)))
