import numpy as np
import torch

from lmd_bench.methods.calibration.prs import Config, Prs, class_shares
from tests.methods.calibration import features


def test_shares_are_means_of_class_means_of_probabilities():
    logits, labels = torch.randn(7, 3), torch.tensor([0, 0, 0, 0, 1, 1, 2])
    p = np.exp(logits.double().numpy())
    p /= p.sum(1, keepdims=True)
    expected = np.mean([p[labels.numpy() == c].mean(0) for c in range(3)], axis=0)
    assert np.allclose(class_shares(logits, labels), expected, atol=1e-6)


def test_a_head_that_favours_one_class_is_mended():
    given = features.stage1()
    train, labels = given.features[0], given.train_set.labels
    means = torch.stack([train[labels == label].mean(dim=0) for label in range(3)])
    with torch.no_grad():
        given.model.head.weight.copy_(means / 3)
        given.model.head.bias.copy_(torch.tensor([2.0, 0.0, -2.0]))
        before = float(
            (given.model.head(given.features[1]).argmax(1) == given.val_set.labels).float().mean()
        )
    assert features.val_accuracy(Prs(Config()).fit(given), given) > before + 0.05
