"""What has to hold of every metric."""

import numpy as np

from lmd_bench.contract.expect import expect
from lmd_bench.stats.metrics import Labels, Logits, Metric, equal_prior
from lmd_bench.store.metrics import known_metrics

N_CLASSES = 4


def drawn() -> tuple[Labels, Logits]:
    """Return 60 labels of unlike classes, and logits that know half of them."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(N_CLASSES), (30, 15, 10, 5)).astype(np.int64)
    logits = rng.normal(size=(len(labels), N_CLASSES))
    logits[np.arange(len(labels)), labels] += 1.0
    return labels, logits


def gives_a_number(name: str) -> None:
    """It gives one finite number, with weights of the images and without."""
    labels, logits = drawn()
    for weights in (None, equal_prior(labels)):
        value = _of(name).value(labels, logits, weights=weights)
        expect(np.isfinite(value), f"{value} for 60 images of 4 classes")


def repeats(name: str) -> None:
    """It gives the same twice, and changes nothing that it is given."""
    labels, logits = drawn()
    kept = labels.copy(), logits.copy()
    first, again = (_of(name).value(labels, logits) for _ in range(2))
    expect(first == again, f"{first}, then {again} for the same images")
    same = np.array_equal(kept[0], labels) and np.array_equal(kept[1], logits)
    expect(same, "it changes the labels or logits that it is given")


def prefers_the_better(name: str) -> None:
    """A classifier that is always right is not worse than one that is always wrong."""
    labels, _ = drawn()
    right = 10.0 * np.eye(N_CLASSES)[labels]
    metric = _of(name)
    best, worst = metric.value(labels, right), metric.value(labels, np.roll(right, 1, axis=1))
    sign = 1 if metric.higher_is_better else -1
    expect(
        sign * best > sign * worst,
        f"{best} where all are right and {worst} where none is, with "
        f"higher_is_better={metric.higher_is_better}",
    )


def _of(name: str) -> Metric:
    return known_metrics()[name]


CHECKS = (gives_a_number, repeats, prefers_the_better)
