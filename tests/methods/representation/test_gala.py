import numpy as np
import pytest
import torch

from lmd_bench.methods.representation.gala import Config, adjusted_logits
from tests.methods.representation.criteria import (
    FEATURES,
    LABELS,
    LOGITS,
    criterion,
    cross_entropies,
    mean_cross_entropy,
    softmax,
    value,
)

G = torch.tensor([8.0, 2.0, 2.0])


def test_the_first_batch_is_cross_entropy_since_nothing_is_accumulated():
    assert value("gala") == pytest.approx(mean_cross_entropy(), rel=1e-5)


def test_the_adjusted_logits_are_those_of_the_equation():
    config = Config(positive_weight=1.2, negative_weight=0.9)
    shift = np.log(G.numpy() / 4.0)
    expected = LOGITS.numpy() + 1.2 * shift
    for row, label in enumerate(LABELS.tolist()):
        for j in set(range(3)) - {label}:
            expected[row, j] -= 0.9 * shift[label]
    assert np.allclose(adjusted_logits(LOGITS, LABELS, G, G, config), expected, atol=1e-6)


def test_the_official_negative_term_is_cancelled_by_the_softmax():
    losses = [
        cross_entropies(
            adjusted_logits(
                LOGITS, LABELS, G, G, Config(negative_weight=w, negative_term="official")
            )
        )
        for w in (0.0, 2.0)
    ]
    assert np.allclose(losses[0], losses[1], atol=1e-5)


def test_gradients_are_accumulated_by_class():
    method = criterion("gala")
    method.criterion(FEATURES, LOGITS, LABELS, 0)
    p = softmax(LOGITS.double().numpy())[np.arange(4), LABELS]
    expected = 1 + np.array([1 - p[0], 1 - p[1], 2 - p[2] - p[3]])
    assert np.allclose(method.positive, expected, atol=1e-5)
    assert np.allclose(method.negative, expected, atol=1e-5)
