"""Scores whose tail has collapsed: nearly no image of some classes is right."""

import numpy as np
import pytest
from scipy.stats import beta

from lmd_bench.stats.influence import (
    Influence,
    class_means,
    mean_weights,
    quiet_classes,
    recall_influence,
    with_tails,
)
from lmd_bench.stats.joint import joint
from lmd_bench.stats.proportions import jeffreys

COLLAPSED = [0.9, 0.95, 0.05, 0.02, 0.02, 0.02, 0.02]
ONE_CLASS = [0.98, 0.02, 0.02, 0.01, 0.01, 0.01, 0.01]
N = 600  # models of each kind


def test_jeffreys_is_the_beta_interval() -> None:
    low, high = jeffreys(np.array([0.0, 3.0, 28.0]), np.array([28.0, 28.0, 28.0]))

    assert (low[0], high[2]) == (0, 1)
    assert high[0] == pytest.approx(beta.ppf(0.975, 0.5, 28.5))
    assert (low[1], high[1]) == pytest.approx(beta.interval(0.95, 3.5, 25.5))


def test_a_class_with_none_of_28_right_adds_what_is_not_known_of_it() -> None:
    labels = np.repeat([0, 1], 28)
    right = np.concatenate([np.arange(28) < 14, np.zeros(28)]).astype(float)
    weights = mean_weights(labels, 2)

    found = with_tails(recall_influence(labels, right[:, None], weights), labels, right, weights)

    (of_class,) = recall_influence(labels, right[:, None], np.array([0.5, 0.0])).variance()
    unknown = 0.5 * beta.ppf(0.975, 0.5, 28.5) / 1.959964
    assert found.sides is not None
    assert found.sides[0] == pytest.approx(of_class**0.5)
    assert found.sides[1] == pytest.approx((of_class + unknown**2) ** 0.5)
    assert quiet_classes(labels, right, 2) == [1]


@pytest.mark.parametrize(
    ("recall", "n_images", "lesion"),
    [
        (COLLAPSED, 28, 1),
        (ONE_CLASS, 28, 1),
        (COLLAPSED, 15, 1),
        ([0.03] * 3, 28, 1),
        ([0.03] * 3, 28, 2),
        ([0.6] * 7, 28, 1),
    ],
    ids=["collapsed", "one class alone", "15 a class", "a tail group", "in lesions", "ordinary"],
)
def test_the_interval_over_images_holds_the_truth_where_a_tail_has_collapsed(
    recall, n_images: int, lesion: int
) -> None:
    """Before, 87 to 93 % where the tail has collapsed; two retrainings that agree."""
    generator = np.random.default_rng(0)
    n_classes = len(recall)
    labels = np.repeat(np.arange(n_classes), n_images)
    clusters = np.arange(len(labels)) // lesion
    weights = mean_weights(labels, n_classes)
    held = 0
    for _ in range(N):
        luck = generator.uniform(size=len(labels) // lesion)[clusters]
        right = (luck < np.array(recall)[labels]).astype(float)
        plain = recall_influence(labels, right[:, None], weights, clusters)
        both = with_tails(plain, labels, right, weights, clusters)
        influence = Influence(np.repeat(both.of_units, 2, axis=1), both.df, both.sides)
        score = float(class_means(labels, right[:, None], n_classes).mean())
        interval = joint([score, score], influence, "test lesions").interval
        held += interval.low <= np.mean(recall) <= interval.high

    assert held / N >= 0.93
