"""RIDE, stage 1: experts of a shared encoder, each with LDAM, pushed apart from their mean.

    L = sum_e LDAM-DRW(z_e, y) + diversity T^2 KL(softmax(zbar/T) || softmax(z_e/T))

zbar is the mean of the experts' logits, without gradient in the second term; it is the prediction.

Paper: Wang et al., Long-tailed Recognition by Routing Diverse Distribution-Aware Experts,
ICLR 2021, Eqs. 3 to 5.
URL: https://arxiv.org/abs/2010.01809
Compared with https://github.com/frank-xwang/RIDE-LongTailRecognition@ab8be5c211: both parts of the
loss, before and after the switch, value and gradient.

What differs: experts have a whole last stage each where theirs also split the one before and are
thinner, and they start as copies of one another where theirs start apart; the routing that saves
inference time is left out, all experts are always asked. The diversity's gradient goes through the
expert alone, as in that code.
Defaults: 3 experts, diversity -.2 (negative: apart; -.45 in their CIFAR settings), T 1, which falls
for rare classes from `start` on (to .84 at factor 100), max_margin .5, scale 30: that code; weights
from .8 on.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from lmd_bench.methods.class_weights import effective_number_weights, ldam_margins
from lmd_bench.methods.config import require
from lmd_bench.methods.representation._experts import EachLogits, Experts

VERSION = 3


@dataclass(frozen=True)
class Config:
    """Experts, margins and diversity."""

    n_experts: int = 3
    diversity: float = -0.2  # below 0: apart from the mean
    temperature: float = 1.0
    max_margin: float = 0.5
    scale: float = 30.0
    start: float = 0.8  # share of training before the class weights apply; 1: never
    beta: float = 0.9999
    lowered: float = 0.05  # c, by which rare classes' temperature falls from `start` on

    def __post_init__(self) -> None:
        """Refuse values for which the loss is not defined."""
        require(self.n_experts >= 1, f"n_experts={self.n_experts} must be at least 1")
        require(self.diversity <= 0, f"diversity={self.diversity} must not be positive")
        require(self.temperature > 0, f"temperature={self.temperature} must be above 0")
        require(self.max_margin >= 0, f"max_margin={self.max_margin} must not be negative")
        require(self.scale > 0, f"scale={self.scale} must be above 0")
        require(0 <= self.start <= 1, f"start={self.start} must lie in [0, 1]")
        require(0 <= self.beta < 1, f"beta={self.beta} must lie in [0, 1)")
        require(0 <= self.lowered < 1, f"lowered={self.lowered} must lie in [0, 1)")


def class_temperatures(
    counts: Int64[Tensor, " classes"], temperature: float, lowered: float
) -> Float[Tensor, " classes"]:
    """Return T (1 - c + c K pi_j), over the largest of these factors: lower for rarer classes."""
    factors = 1.0 - lowered + lowered * len(counts) * counts.double() / counts.sum()
    return (temperature * factors / factors.max()).float()


def distance_to_mean(
    each: EachLogits, temperatures: Float[Tensor, " classes"]
) -> Float[Tensor, " experts"]:
    """Return T^2 KL(mean's prediction || expert's), the mean over the batch, for each expert.

    Logits are divided by the temperatures of their classes, whose mean is T.
    """
    temperature = temperatures.mean()
    experts = F.log_softmax(each / temperatures, dim=2)
    mean = F.log_softmax(each.mean(dim=0).detach() / temperatures, dim=1).expand_as(experts)
    divergence = F.kl_div(experts, mean, reduction="none", log_target=True)
    return temperature**2 * divergence.sum(dim=2).mean(dim=1)


class Ride(Experts):
    """LDAM with deferred weights for each expert, less their distance to the mean."""

    def prepare(self) -> None:
        """Compute margins and weights once."""
        self.margins = ldam_margins(self.class_counts, self.config.max_margin)
        self.weights = effective_number_weights(self.class_counts, self.config.beta)
        even, lowered = (
            class_temperatures(self.class_counts, self.config.temperature, c)
            for c in (0.0, self.config.lowered)
        )
        self.temperatures = {False: even, True: lowered}

    @classmethod
    def deferral(cls, config: Any) -> float:
        """Return when re-weighting starts; 0 where it never does."""
        return config.start if config.start < 1 else 0.0

    def criterion(
        self, each: EachLogits, labels: Int64[Tensor, " batch"], step: int
    ) -> Float[Tensor, ""]:
        """Return the sum over the experts."""
        config: Config = self.config
        own = F.one_hot(labels, each.shape[2])
        margined = each - config.scale * self.margins[labels, None] * own
        deferred = step / self.n_steps >= config.start
        weights = self.weights if deferred else None
        losses = [F.cross_entropy(logits, labels, weight=weights) for logits in margined]
        diversity = config.diversity * distance_to_mean(each, self.temperatures[deferred])
        return torch.stack(losses).sum() + diversity.sum()
