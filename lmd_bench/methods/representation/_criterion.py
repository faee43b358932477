"""Stage-1 methods that change nothing but the loss on the logits of one view."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from jaxtyping import Float, Int64
from torch import Tensor

from lmd_bench.data.views import Views
from lmd_bench.methods.representation._base import Representation, Targets

Features = Float[Tensor, "batch features"]
Logits = Float[Tensor, "batch classes"]
Labels = Int64[Tensor, " batch"]
PerClass = Float[Tensor, " classes"]


class Criterion(Representation):
    """One view, one loss of features, logits and labels; mixed images go through it twice."""

    needs_encoder: ClassVar[bool] = False

    def loss(
        self,
        views: Sequence[Views],
        targets: Targets,
        step: int,
    ) -> Float[Tensor, ""]:
        """Return the criterion of the student view."""
        features, logits = self.model(views[0])
        return targets.loss(lambda labels: self.criterion(features, logits, labels, step))

    @abstractmethod
    def criterion(
        self, features: Features, logits: Logits, labels: Labels, step: int
    ) -> Float[Tensor, ""]:
        """Return the mean loss of a batch.

        Args:
            features: float32.
            logits: of the training head, float32.
            labels: classes.
            step: optimiser steps taken before this one.
        """

    def log_prior(self) -> PerClass:
        """Return log pi_j, pi_j = n_j / N."""
        return (self.class_counts / self.class_counts.sum()).log()

    def progress(self, step: int) -> float:
        """Return the share of training that is over, 0 to 1."""
        return step / self.n_steps
