"""Prediction sets: thresholds by hand, and coverage where it is promised."""

import numpy as np

from lmd_bench.stats.conformal import class_thresholds, coverage_by_class, prediction_sets


def _two_classes(p_right: list[float]) -> np.ndarray:
    p = np.array(p_right)
    return np.stack([p, 1.0 - p], axis=1)


def test_the_threshold_is_the_smallest_rank_that_keeps_the_promise():
    # 9 images, coverage .9: rank ceil(10 * .9) = 9, the largest score 1 - .1
    p = _two_classes([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])
    labels = np.zeros(9, dtype=np.int64)
    assert np.isclose(class_thresholds(labels, p, 0.9)[0], 0.9)
    assert np.isclose(class_thresholds(labels, p, 0.5)[0], 0.5)


def test_a_class_of_too_few_images_belongs_to_every_set():
    p = _two_classes([0.9] * 8)
    thresholds = class_thresholds(np.zeros(8, dtype=np.int64), p, 0.9)
    assert np.isinf(thresholds).all()
    assert prediction_sets(_two_classes([1.0, 0.0]), thresholds).all()


def test_each_class_is_covered_as_stated_on_new_images_of_the_same_kind():
    rng = np.random.default_rng(0)

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        labels = rng.integers(0, 4, n)
        logits = rng.normal(size=(n, 4)) + np.eye(4)[labels] * np.array([3.0, 2.0, 1.0, 0.5])
        p = np.exp(logits)
        return labels, p / p.sum(axis=1, keepdims=True)

    thresholds = class_thresholds(*draw(8_000), 0.9)
    labels, p = draw(40_000)
    covered = coverage_by_class(labels, prediction_sets(p, thresholds))
    np.testing.assert_allclose(covered, 0.9, atol=0.015)


def test_a_class_without_images_has_no_coverage():
    covered = coverage_by_class(np.array([0]), np.array([[True, False]]))
    assert covered[0] == 1.0
    assert np.isnan(covered[1])
