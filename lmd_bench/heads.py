"""Classifier heads other than a linear layer."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class CosineHead(nn.Module):
    """Logits scale * cos(f, w_j): features and class weights are normalised."""

    bias: Tensor

    def __init__(self, n_features: int, n_classes: int, scale: float) -> None:
        """Draw the class weights.

        Args:
            n_features: C.
            n_classes: K.
            scale: of the cosines.
        """
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(torch.empty(n_classes, n_features).uniform_(-1.0, 1.0))
        # Not trained: a place for what a calibration adds to the logits.
        self.register_buffer("bias", torch.zeros(n_classes))

    def forward(self, features: Float[Tensor, "batch features"]) -> Float[Tensor, "batch classes"]:
        """Return the scaled cosines, plus the bias."""
        cosines = F.normalize(features, dim=1) @ F.normalize(self.weight, dim=1).T
        return self.scale * cosines + self.bias
