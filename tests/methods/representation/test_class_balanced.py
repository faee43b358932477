import numpy as np
import pytest

from lmd_bench.methods.class_weights import (
    effective_number_weights,
)
from tests.methods.representation.criteria import (
    COUNTS,
    LABELS,
    LOGITS,
    cross_entropies,
    mean_cross_entropy,
    value,
)


def test_the_loss_is_the_mean_of_weighted_cross_entropies():
    weights = np.asarray(effective_number_weights(COUNTS, 0.99))
    mean_weight = (np.asarray(COUNTS) / 124 * weights).sum()
    expected = (weights[LABELS] * cross_entropies(LOGITS)).mean() / mean_weight
    assert value("class_balanced", beta=0.99) == pytest.approx(expected, rel=1e-5)


def test_deferred_weights_wait_for_their_start():
    assert value("class_balanced", step=7, start=0.8) == pytest.approx(mean_cross_entropy())
    assert value("class_balanced", step=8, start=0.8) != pytest.approx(mean_cross_entropy())
