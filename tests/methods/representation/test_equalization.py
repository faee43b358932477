import numpy as np
import pytest
import torch

from lmd_bench.methods.representation.equalization import spared_logits
from tests.methods.representation.criteria import (
    LABELS,
    LOGITS,
    criterion,
    mean_cross_entropy,
    value,
)


def test_always_spared_rare_classes_leave_the_denominator():
    p = np.exp(LOGITS.double().numpy())
    own = p[np.arange(4), LABELS]
    total = p.sum(1) - np.where(LABELS.numpy() != 2, p[:, 2], 0.0)  # class 2 alone is rare
    expected = -np.log(own / total).mean()
    assert value("equalization", gamma=1.0) == pytest.approx(expected, rel=1e-5)


def test_sparing_nobody_is_cross_entropy():
    for settings in ({"gamma": 0.0}, {"threshold": 0.0}):
        assert value("equalization", **settings) == pytest.approx(mean_cross_entropy(), rel=1e-5)


def test_the_own_class_is_never_spared():
    spared = torch.ones(4, 3, dtype=torch.bool)
    own = spared_logits(LOGITS, LABELS, spared).gather(1, LABELS[:, None])
    assert torch.equal(own, LOGITS.gather(1, LABELS[:, None]))


def test_the_default_threshold_spares_a_class_of_a_medical_data_set():
    ham10000 = torch.tensor([6705, 1113, 1099, 514, 327, 142, 115])
    prior = ham10000 / ham10000.sum()
    assert (prior < criterion("equalization").config.threshold).sum() == 3
