import numpy as np
import pytest

from lmd_bench.methods.class_weights import smoothing
from tests.methods.representation.criteria import (
    COUNTS,
    LABELS,
    LOGITS,
    mean_cross_entropy,
    softmax,
    value,
)


def test_the_loss_is_that_of_the_equation():
    log_p = np.log(softmax(LOGITS.double().numpy()))
    e = np.asarray(smoothing(COUNTS, 0.3, 0.0))
    losses = []
    for i, y in enumerate(LABELS.tolist()):
        others = log_p[i].sum() - log_p[i, y]
        losses.append(-((1 - e[y]) * log_p[i, y] + e[y] / 2 * others))
    assert value("label_aware_smoothing") == pytest.approx(np.mean(losses), rel=1e-5)


def test_no_smoothing_is_cross_entropy():
    assert value("label_aware_smoothing", head=0.0) == pytest.approx(mean_cross_entropy(), rel=1e-5)
