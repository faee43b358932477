import numpy as np
import pytest
import torch

from lmd_bench.methods.calibration.ncm import Config, Ncm
from lmd_bench.methods.models.heads import class_means
from tests.methods.calibration import features


def test_class_means_are_the_means_of_each_class():
    f, y = features.drawn((4, 2, 3), 0)
    expected = [f[y == label].numpy().mean(0) for label in range(3)]
    assert np.allclose(class_means(f, y), expected, atol=1e-6)


@pytest.mark.parametrize("distance", ["squared", "cosine"])
def test_logits_are_those_of_the_equation(distance):
    given = features.stage1()
    head = Ncm(Config(distance=distance)).fit(given).model.head
    train, y = given.features[0].numpy(), given.train_set.labels.numpy()

    def g(x):
        x = x - train.mean(0)
        return x / np.linalg.norm(x, axis=-1, keepdims=True)

    means = np.stack([g(train)[y == label].mean(0) for label in range(3)])
    of = g(given.features[1].numpy())
    expected = -((of[:, None] - means) ** 2).sum(2)
    if distance == "cosine":
        expected = of @ (means / np.linalg.norm(means, axis=1, keepdims=True)).T
    assert np.allclose(head(given.features[1]), expected, atol=1e-4)


def test_normalised_features_do_not_feel_their_length():
    head = Ncm(Config(features="l2")).fit(features.stage1()).model.head
    f = torch.rand(3, features.WIDTH)
    assert torch.allclose(head(f), head(5 * f), atol=1e-5)
