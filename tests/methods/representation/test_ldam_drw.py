import re

import numpy as np
import pytest
import torch

from lmd_bench.methods.class_weights import ldam_margins
from lmd_bench.methods.models.heads import CosineHead
from lmd_bench.methods.representation.ldam_drw import Config, LdamDrw
from tests.methods.representation.criteria import (
    COUNTS,
    FEATURES,
    LABELS,
    LOGITS,
    criterion,
    cross_entropies,
    mean_cross_entropy,
    value,
)


def test_margins_are_n_to_the_minus_quarter_with_the_given_maximum():
    expected = np.array([100, 20, 4]) ** -0.25
    expected *= 0.5 / expected.max()
    assert np.allclose(ldam_margins(COUNTS, 0.5), expected)


def test_the_own_logit_loses_s_times_the_margin():
    shifted = LOGITS.double().numpy().copy()
    margins = ldam_margins(COUNTS, 0.5).numpy()
    for row, label in enumerate(LABELS.tolist()):
        shifted[row, label] -= 30 * margins[label]
    assert value("ldam_drw") == pytest.approx(cross_entropies(shifted).mean(), rel=1e-5)


def test_without_margin_and_before_drw_it_is_cross_entropy():
    assert value("ldam_drw", max_margin=0.0) == pytest.approx(mean_cross_entropy(), rel=1e-5)


def test_re_weighting_starts_when_it_says():
    before, after = (value("ldam_drw", step=s, beta=0.99) for s in (7, 8))
    assert before == value("ldam_drw", step=0, beta=0.99) != after


def test_the_head_is_cosine_so_the_length_of_a_feature_does_not_count():
    head = LdamDrw.make_head(Config(), 5, 3)
    assert isinstance(head, CosineHead)
    features = torch.randn(4, 5)
    assert torch.allclose(head(features), head(7 * features), atol=1e-5)
    assert head(features).abs().max() <= 30.0


@pytest.mark.parametrize(
    "settings", [{"max_margin": 0.0}, {"scale": 0.5}, {"start": 0.0}, {"start": 1.0}, {"beta": 0.0}]
)
def test_the_ends_of_the_ranges_are_allowed(settings: dict[str, float]):
    Config(**settings)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"max_margin": -0.1}, "max_margin=-0.1 must not be negative"),
        ({"scale": 0.0}, "scale=0.0 must be above 0"),
        ({"start": 1.5}, "start=1.5 must lie in [0, 1]"),
        ({"start": -0.5}, "start=-0.5 must lie in [0, 1]"),
        ({"beta": 1.0}, "beta=1.0 must lie in [0, 1)"),
        ({"beta": -0.5}, "beta=-0.5 must lie in [0, 1)"),
    ],
)
def test_other_values_are_refused_in_a_sentence(settings: dict[str, float], sentence: str):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        Config(**settings)


def test_nothing_is_deferred_where_the_weights_never_apply():
    assert LdamDrw.deferral(Config(start=0.8)) == 0.8
    assert LdamDrw.deferral(Config(start=1.0)) == 0.0
    assert value("ldam_drw", step=7, start=1.0) == value("ldam_drw", step=0, start=1.0)


def test_a_batch_without_the_last_class_has_a_loss():
    method = criterion("ldam_drw")
    assert torch.isfinite(method.criterion(FEATURES, LOGITS, LABELS.clamp(max=1), 0))
