import pytest
import torch

from lmd_bench.methods.calibration._grid import balanced_accuracies, best_by_balanced_accuracy


def test_balanced_accuracies_are_means_of_recalls():
    labels = torch.tensor([0, 0, 0, 1])
    logits = torch.tensor([[[1.0, 0], [1, 0], [0, 1], [0, 1]], [[1.0, 0], [1, 0], [1, 0], [1, 0]]])
    assert balanced_accuracies(logits, labels).tolist() == pytest.approx([(2 / 3 + 1) / 2, 0.5])


def test_a_class_that_does_not_occur_is_left_out():
    logits = torch.zeros(1, 2, 3)
    logits[:, :, 0] = 1
    assert float(balanced_accuracies(logits, torch.tensor([0, 0]))) == 1.0


def test_of_equals_the_first_is_taken():
    logits = torch.randn(1, 5, 3).expand(4, 5, 3)
    assert best_by_balanced_accuracy(logits, torch.tensor([0, 1, 2, 0, 1])) == 0
