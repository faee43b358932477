"""The balanced linear probe, against the same regression by NumPy."""

import numpy as np
import pytest
import torch

from lmd_bench.methods.probe import RIDGE, probe_balanced_accuracy


def draw(n_of_class: tuple[int, ...], gap: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return features around one corner a class, and labels."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.repeat_interleave(torch.arange(len(n_of_class)), torch.tensor(n_of_class))
    corners = gap * torch.eye(len(n_of_class), 6)
    return corners[labels] + torch.randn(len(labels), 6, generator=rng), labels


def test_the_probe_is_the_weighted_ridge_regression():
    (x, y), (vx, vy) = draw((60, 12, 5), 1.5, 0), draw((20, 20, 20), 1.5, 1)
    features, labels = x.double().numpy(), y.numpy()
    weight = 1.0 / (3 * np.bincount(labels))[labels]
    mean = (weight[:, None] * features).sum(axis=0)
    root = np.sqrt(weight)[:, None]
    a, b = root * (features - mean), root * (np.eye(3)[labels] - 1 / 3)
    ridge = RIDGE * (a**2).sum() / 6
    rows = np.vstack([a, np.sqrt(ridge) * np.eye(6)])  # ridge regression as least squares
    coefficients = np.linalg.lstsq(rows, np.vstack([b, np.zeros((6, 3))]), rcond=None)[0]
    predicted = ((vx.double().numpy() - mean) @ coefficients).argmax(axis=1)
    recall = [np.mean(predicted[vy.numpy() == k] == k) for k in range(3)]
    assert probe_balanced_accuracy(x, y, vx, vy, 3) == pytest.approx(np.mean(recall), abs=1e-12)


def test_more_images_of_a_class_do_not_draw_the_prediction_to_it():
    score = probe_balanced_accuracy(*draw((500, 10), 3.0, 2), *draw((200, 200), 3.0, 3), 2)
    assert score > 0.9


def test_features_that_never_vary_are_at_chance():
    x, y = torch.ones(10, 4), torch.tensor([0] * 5 + [1] * 5)
    assert probe_balanced_accuracy(x, y, x, y, 2) == 0.5
