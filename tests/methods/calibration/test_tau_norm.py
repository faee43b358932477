import numpy as np
import torch

from lmd_bench.methods.calibration.tau_norm import Config, TauNorm, normalised_weights
from tests.methods.calibration import features


def test_tau_zero_keeps_the_weights_and_tau_one_gives_length_one():
    weight = torch.randn(3, 5)
    kept, unit = normalised_weights(weight, torch.tensor([0.0, 1.0]))
    assert torch.equal(kept, weight)
    assert torch.allclose(unit.norm(dim=1), torch.ones(3))


def test_the_weights_are_those_of_the_equation():
    weight = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    found = normalised_weights(torch.from_numpy(weight), torch.tensor([0.7]))[0]
    assert np.allclose(found, weight / np.linalg.norm(weight, axis=1, keepdims=True) ** 0.7)


def test_tau_is_chosen_on_val_and_the_bias_is_dropped():
    given = features.stage1()
    train, labels = given.features[0], given.train_set.labels
    means = torch.stack([train[labels == label].mean(dim=0) for label in range(3)])
    with torch.no_grad():  # right directions, but the head class's weights are far too long
        given.model.head.weight.copy_(means * torch.tensor([9.0, 1.0, 0.3])[:, None])
        given.model.head.bias.copy_(torch.tensor([50.0, 0.0, -50.0]))
    result = TauNorm(Config()).fit(given)
    assert result.model.head.bias is None
    assert features.val_accuracy(result, given) > 0.95
