"""Balanced logistic regression: the floor that every stage 2 must beat.

    min_{W, b}  1/K sum_j mean_{i: y_i = j} CE(W f_i + b, j) + lambda/2 |W|^2

solved by L-BFGS on features centred and divided by their overall standard deviation (one number: a
deviation of each feature would blow up those that only rare classes use), each class weighing the
same. lambda is chosen on val by
balanced accuracy over a grid from `decay_min` to `decay_max`, both times C / 512 since squared
lengths of features grow with their width C, from the strongest, each solution starting from the
last; of equals, the strongest.

Paper: King and Zeng, Logistic Regression in Rare Events Data, Political Analysis 9, 2001, Eq. 6.
URL: https://doi.org/10.1093/oxfordjournals.pan.a004868

Defaults: lambda 1e-5 to 1 in 6 steps, which are that many settings judged on val within one trial;
50 iterations each, fewer once no gradient is above 3e-5.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lmd_bench.methods.calibration._base import Calibrated, Calibration, Stage1
from lmd_bench.methods.calibration._grid import best_by_balanced_accuracy
from lmd_bench.methods.config import require

VERSION = 3
REFERENCE_WIDTH = 512  # of ResNet-18's features, which the grid is given for


@dataclass(frozen=True)
class Config:
    """The grid of lambda for features 512 wide."""

    decay_min: float = 1.0e-5
    decay_max: float = 1.0
    decay_steps: int = 6
    n_iterations: int = 50

    def __post_init__(self) -> None:
        """Refuse an empty grid."""
        require(
            0 < self.decay_min <= self.decay_max,
            f"decay_min={self.decay_min} must lie above 0 and not above decay_max",
        )
        require(self.decay_steps >= 1, f"decay_steps={self.decay_steps} must be at least 1")
        require(self.n_iterations >= 1, f"n_iterations={self.n_iterations} must be at least 1")


class LogisticRegression(Calibration):
    """Replaces the head by a class-balanced, ridge-penalised linear one."""

    @classmethod
    def n_swept(cls, config: Config) -> int:
        """Return the lambdas of the grid."""
        return config.decay_steps

    def fit(self, stage1: Stage1) -> Calibrated:
        """Return the encoder with the head whose penalty is best on val."""
        config: Config = self.config
        features, val_features = stage1.features
        mean, spread = features.mean(dim=0), features.std().clamp_min(1e-6)
        inputs, labels = (features - mean) / spread, stage1.train_set.labels
        image_weights = 1.0 / (stage1.class_counts[labels] * stage1.n_classes)
        head = nn.Linear(features.shape[1], stage1.n_classes, device=features.device)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        powers = torch.linspace(1.0, 0.0, config.decay_steps).tolist()
        fitted: list[tuple[Tensor, Tensor]] = []
        for power in powers:
            decay = config.decay_min * (config.decay_max / config.decay_min) ** power
            decay *= features.shape[1] / REFERENCE_WIDTH
            _minimise(head, inputs, labels, image_weights, decay, config.n_iterations)
            weight = head.weight.detach() / spread  # of the features as they are
            fitted.append((weight, head.bias.detach() - weight @ mean))
        logits = torch.stack([val_features @ weight.T + bias for weight, bias in fitted])
        chosen = stage1.settled(
            "decay", lambda: best_by_balanced_accuracy(logits, stage1.val_set.labels)
        )
        weight, bias = fitted[chosen]
        with torch.no_grad():
            head.weight.copy_(weight)
            head.bias.copy_(bias)
        stage1.model.head = head
        return Calibrated(stage1.model)


def _minimise(
    head: nn.Linear,
    inputs: Float[Tensor, "images features"],
    labels: Tensor,
    weights: Float[Tensor, " images"],
    decay: float,
    n_iterations: int,
) -> None:
    optimiser = torch.optim.LBFGS(
        head.parameters(),
        max_iter=n_iterations,
        tolerance_grad=3e-5,
        tolerance_change=1e-7,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimiser.zero_grad(set_to_none=True)
        losses = F.cross_entropy(head(inputs), labels, reduction="none")
        value = (weights * losses).sum() + 0.5 * decay * head.weight.square().sum()
        value.backward()
        return value

    optimiser.step(closure)
