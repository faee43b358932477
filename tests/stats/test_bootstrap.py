"""The test-set bootstrap: against hand-worked spreads, its speed, and how often it is right."""

import time

import numpy as np
import pytest

from lmd_bench.stats.bootstrap import (
    cluster_numbers,
    mean_recall,
    resampled_recall,
    reweighted_recall,
)
from lmd_bench.stats.metrics import balanced_accuracy

RNG = np.random.default_rng


def test_the_spread_of_balanced_accuracy_is_that_of_its_classes_means() -> None:
    labels = np.repeat([0, 1, 2], [100, 30, 4])
    right = (RNG(0).uniform(size=(134, 1)) < 0.6).astype(float)

    samples = mean_recall(resampled_recall(labels, right, 3, RNG(1), n_resamples=20_000)[:, 0])

    parts = [right[labels == index, 0] for index in range(3)]
    variance = sum(part.var(ddof=1) / len(part) for part in parts) / 9
    assert samples.mean() == pytest.approx(np.mean([part.mean() for part in parts]), abs=0.005)
    assert samples.std() == pytest.approx(variance**0.5, rel=0.03)


def test_every_class_keeps_its_images_and_models_share_the_draws() -> None:
    labels = np.repeat([0, 1], [50, 10])
    right = np.zeros((60, 2))
    right[labels == 0] = 1.0
    right[::2, 1] = 1.0

    samples = resampled_recall(labels, right, 3, RNG(0), n_resamples=50)

    assert (samples[:, 0, 0] == 1.0).all()
    assert (samples[:, 0, 1] == 0.0).all()
    assert np.isnan(samples[:, :, 2]).all()  # a class without images

    same = resampled_recall(labels, np.repeat(right[:, 1:], 2, axis=1), 2, RNG(0), n_resamples=50)
    assert (same[:, 0] == same[:, 1]).all()


def test_images_of_one_lesion_are_drawn_together() -> None:
    # 20 lesions of 5 images that are all right or all wrong: the spread is that of 20, not of 100
    clusters = cluster_numbers([f"lesion{i // 5}" for i in range(100)])
    right = np.repeat(np.arange(20) % 2, 5).astype(float)[:, None]
    labels = np.zeros(100, dtype=np.int64)

    known = resampled_recall(labels, right, 1, RNG(0), clusters, 20_000)[:, 0, 0]
    ignored = resampled_recall(labels, right, 1, RNG(0), None, 20_000)[:, 0, 0]

    assert known.std() == pytest.approx((0.25 / 19) ** 0.5, rel=0.03)
    assert ignored.std() == pytest.approx((0.25 / 99) ** 0.5, rel=0.03)


def test_lesions_of_unequal_size_give_the_spread_of_a_ratio() -> None:
    sizes = RNG(3).integers(1, 6, 200)
    clusters = np.repeat(np.arange(200), sizes)
    right = (RNG(4).uniform(size=(len(clusters), 1)) < 0.7).astype(float)
    labels = np.zeros(len(clusters), dtype=np.int64)

    samples = resampled_recall(labels, right, 1, RNG(0), clusters, 20_000)[:, 0, 0]

    # linearised: residuals sum_i (right_i - p) of each cluster (Cochran, section 6.3)
    residuals = np.bincount(clusters, weights=right[:, 0] - right.mean())
    expected = np.sqrt(200 * residuals.var(ddof=1)) / len(clusters)
    assert samples.std() == pytest.approx(expected, rel=0.03)


def test_few_lesions_of_unlike_sizes_lean_to_no_side() -> None:
    # Where the large lesion is the easy one, right over drawn images is 16 points too low.
    clusters = np.repeat(np.arange(5), [40, 10, 5, 3, 2])
    right = (clusters == 0).astype(float)[:, None]
    labels = np.zeros(60, dtype=np.int64)

    samples = resampled_recall(labels, right, 1, RNG(0), clusters, 20_000)[:, 0, 0]

    assert samples.mean() == pytest.approx(40 / 60, abs=0.01)


def test_mean_recall_is_the_metric() -> None:
    labels = RNG(0).integers(0, 3, 50)
    logits = RNG(1).normal(size=(50, 5))  # classes 3 and 4 have no image
    right = (logits.argmax(axis=1) == labels).astype(float)
    recall = np.array(
        [right[labels == k].mean() if (labels == k).any() else np.nan for k in range(5)]
    )

    assert mean_recall(recall) == pytest.approx(balanced_accuracy(labels, logits))
    assert np.isnan(mean_recall(recall, np.array([False] * 3 + [True] * 2)))


def test_a_thousand_samples_of_2000_images_in_8_classes_take_below_half_a_second() -> None:
    labels = np.repeat(np.arange(8), 250)
    right = (RNG(0).uniform(size=(2000, 1)) < 0.6).astype(float)

    times = []
    for _ in range(3):
        start = time.perf_counter()
        mean_recall(resampled_recall(labels, right, 8, RNG(0), n_resamples=1000))
        times.append(time.perf_counter() - start)

    assert min(times) < 0.5


def test_weighted_lesions_spread_recalls_as_drawn_ones_do() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), [60, 30, 12])
    clusters = np.arange(102) // 2  # no lesion of two classes
    right = rng.uniform(size=(102, 2))
    drawn = resampled_recall(labels, right, 4, rng, clusters, 20_000)
    weights = rng.poisson(1.0, (20_000, 51)).astype(float)
    weighted = reweighted_recall(labels, right, 4, clusters, weights)
    np.testing.assert_allclose(weighted.mean(axis=0), drawn.mean(axis=0), atol=0.003)
    np.testing.assert_allclose(weighted.std(axis=0), drawn.std(axis=0), rtol=0.04)
    assert np.isnan(weighted[:, :, 3]).all()


def test_a_lesion_that_weighs_as_much_as_any_moves_nothing() -> None:
    labels, right = np.array([0, 0, 0, 1, 1]), np.array([[1.0], [0.0], [0.0], [1.0], [0.0]])
    clusters = np.array([0, 0, 1, 2, 3])
    even = reweighted_recall(labels, right, 3, clusters, np.ones((1, 4)))
    assert even[0, 0, :2] == pytest.approx([1 / 3, 1 / 2])
    assert np.isnan(even[0, 0, 2])
    # A lesion that is right twice as often counted pulls the recall of its class up, and no other.
    more = reweighted_recall(labels, right, 3, clusters, np.array([[1.0, 1.0, 2.0, 1.0]]))
    assert more[0, 0, 0] == pytest.approx(1 / 3)
    assert more[0, 0, 1] > 1 / 2
