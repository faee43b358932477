"""The variance over test sets: by the textbook, by the bootstrap and by the jackknife."""

import numpy as np
import pytest

from lmd_bench.stats.bootstrap import mean_recall, resampled_recall
from lmd_bench.stats.influence import (
    class_means,
    jackknife_influence,
    mean_weights,
    recall_influence,
)
from lmd_bench.stats.metrics import balanced_accuracy

RNG = np.random.default_rng
LABELS = np.repeat([0, 1, 2], [30, 12, 6])
RIGHT = (RNG(0).uniform(size=(48, 2)) < 0.6).astype(float)


def test_of_single_images_it_is_the_binomial_variance_of_each_class() -> None:
    found = recall_influence(LABELS, RIGHT, mean_weights(LABELS, 3))

    p = class_means(LABELS, RIGHT, 3)
    n = np.array([30, 12, 6])
    assert found.variance() == pytest.approx((p * (1 - p) / (n - 1)).sum(axis=1) / 9)
    assert found.df == 45


@pytest.mark.parametrize("size", [1, 3])
def test_it_is_what_the_clustered_bootstrap_tends_to(size: int) -> None:
    clusters = np.arange(48) // size
    found = recall_influence(LABELS, RIGHT, mean_weights(LABELS, 3), clusters)
    drawn = mean_recall(resampled_recall(LABELS, RIGHT, 3, RNG(1), clusters, 20_000))

    assert np.sqrt(found.variance()) == pytest.approx(drawn.std(axis=0), rel=0.03)


def test_a_lesion_with_images_of_two_classes_counts_once() -> None:
    """Both of its images are right or wrong together, so its recalls do not average out."""
    labels, right = np.tile([0, 1], 20), np.repeat(RNG(2).uniform(size=20) < 0.5, 2)[:, None]
    lesions = np.repeat(np.arange(20), 2)
    weights = mean_weights(labels, 2)

    known = recall_influence(labels, right.astype(float), weights, lesions)
    ignored = recall_influence(labels, right.astype(float), weights)

    p = right.mean()
    assert known.variance()[0] == pytest.approx(p * (1 - p) / 19)
    assert known.variance()[0] == pytest.approx(2 * ignored.variance()[0])


def test_a_class_of_one_lesion_shows_no_spread() -> None:
    labels = np.array([0, 0, 1, 1])
    found = recall_influence(
        labels, np.array([[1.0], [0.0], [1.0], [0.0]]), np.array([0.0, 1.0]), np.array([0, 1, 2, 2])
    )

    assert found.variance() == pytest.approx([0.0])


def test_a_group_without_images_has_no_weight() -> None:
    assert mean_weights(LABELS, 4, np.array([False, False, False, True])).tolist() == [0] * 4
    assert mean_weights(LABELS, 4).tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])


@pytest.mark.parametrize("n_parts", [50, 16])
def test_the_jackknife_agrees_where_the_variance_is_known(n_parts: int) -> None:
    labels = np.repeat(np.arange(4), 40)
    predicted = np.where(RNG(3).uniform(size=160) < 0.6, labels, (labels + 1) % 4)
    logits = np.eye(4)[predicted]

    found = jackknife_influence(
        labels, lambda kept: balanced_accuracy(labels[kept], logits[kept]), None, n_parts
    )

    right = (predicted == labels).astype(float)[:, None]
    known = recall_influence(labels, right, mean_weights(labels, 4))
    assert found.variance()[0] == pytest.approx(known.variance()[0], rel=0.35)
    assert found.df == n_parts - 1


def test_the_jackknife_never_deletes_the_only_lesion_of_a_class() -> None:
    labels = np.array([0, 0, 0, 1])
    kept_always: list[bool] = []

    def score(kept: np.ndarray) -> float:
        kept_always.append(3 in kept)
        return float(len(kept))

    jackknife_influence(labels, score)

    assert all(kept_always)
    assert len(kept_always) == 3


def test_one_lesion_alone_shows_nothing() -> None:
    alone = jackknife_influence(np.array([0, 0]), lambda kept: float(len(kept)), np.array([4, 4]))
    assert alone.of_units.tolist() == [[0.0]]
    assert alone.df == 1.0
