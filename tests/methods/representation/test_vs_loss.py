import numpy as np
import pytest

from tests.methods.representation.criteria import LOGITS, cross_entropies, mean_cross_entropy, value


def test_the_loss_is_that_of_the_equation():
    n = np.array([100.0, 20.0, 4.0])
    adjusted = LOGITS.double().numpy() * (n / 100) ** 0.3 + 1.2 * np.log(n / 124)
    expected = cross_entropies(adjusted).mean()
    assert value("vs_loss", gamma=0.3, tau=1.2) == pytest.approx(expected, rel=1e-5)


def test_gamma_zero_is_the_logit_adjusted_loss_and_both_zero_cross_entropy():
    assert value("vs_loss", gamma=0.0, tau=0.7) == pytest.approx(
        value("logit_adjusted", tau=0.7), rel=1e-5
    )
    assert value("vs_loss", gamma=0.0, tau=0.0) == pytest.approx(mean_cross_entropy(), rel=1e-5)
