"""One batch of logits to put through a criterion."""

import numpy as np
import torch

from lmd_bench.core import plugins
from lmd_bench.methods.representation._criterion import Criterion
from tests import tiny

COUNTS = torch.tensor([100, 20, 4])
LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.3, 0.2, -0.4], [-1.0, 1.5, 2.5], [0.0, 0.0, 0.0]])
LABELS = torch.tensor([0, 1, 2, 2])
FEATURES = torch.tensor([[1.0, 0.0], [0.5, 2.0], [3.0, 1.0], [0.1, 0.1]])


def criterion(
    name: str, counts: torch.Tensor = COUNTS, n_steps: int = 10, seed: int = 0, **settings
) -> Criterion:
    """Return a method with a model that is not used."""
    config = plugins.load("representation", name).Config(**settings)
    return plugins.plugin_class("representation", name)(config, tiny.model(), counts, n_steps, seed)


def value(name: str, counts: torch.Tensor = COUNTS, step: int = 0, **settings) -> float:
    """Return the loss of the batch above."""
    return float(criterion(name, counts, **settings).criterion(FEATURES, LOGITS, LABELS, step))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the softmax of each row, from its definition."""
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def cross_entropies(logits: np.ndarray | torch.Tensor) -> np.ndarray:
    """Return -log p_y of each row of the batch."""
    p = softmax(np.asarray(logits, dtype=np.float64))
    return -np.log(p[np.arange(len(LABELS)), LABELS.numpy()])


def mean_cross_entropy() -> float:
    """Return the plain cross-entropy of the batch."""
    return float(cross_entropies(LOGITS).mean())
