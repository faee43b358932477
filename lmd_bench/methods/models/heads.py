"""Classifier heads other than a linear layer.

Each says by `declared` what its constructor takes, so that a kept model is rebuilt from data.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from lmd_bench.methods.limits import in_blocks

Features = Float[Tensor, "batch features"]
Logits = Float[Tensor, "batch classes"]
Centring = Literal["raw", "l2", "centred_l2"]
_ROWS = 512  # images whose neighbours are sought at once
_NO_VOTE = 1e-6  # of a vote, for the logarithm


class CosineHead(nn.Module):
    """Logits scale * cos(f, w_j): features and class weights are normalised.

    The class weights start at length 1, as in every published `NormedLinear`: what a step turns a
    weight by falls with the square of its length, so longer ones would hardly be trained.
    """

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
        self.weight = nn.Parameter(_unit_rows(n_classes, n_features))
        # Not trained: a place for what a calibration adds to the logits.
        self.register_buffer("bias", torch.zeros(n_classes))

    def declared(self) -> dict[str, Any]:
        """Return what the constructor takes."""
        n_classes, n_features = self.weight.shape
        return {"n_features": n_features, "n_classes": n_classes, "scale": self.scale}

    def forward(self, features: Float[Tensor, "batch features"]) -> Float[Tensor, "batch classes"]:
        """Return the scaled cosines, plus the bias."""
        cosines = F.normalize(features, dim=1) @ F.normalize(self.weight, dim=1).T
        return self.scale * cosines + self.bias


class ExpertsHead(nn.Module):
    """The mean of several cosine heads, each on features of its own."""

    bias: Tensor

    def __init__(self, n_features: int, n_classes: int, scale: float, n_experts: int) -> None:
        """Draw the class weights of each expert.

        Args:
            n_features: of all experts together.
            n_classes: K.
            scale: of the cosines.
            n_experts: E, which divides n_features.
        """
        super().__init__()
        self.scale, self.n_experts = scale, n_experts
        of_experts = _unit_rows(n_classes, n_experts, n_features // n_experts)
        self.weight = nn.Parameter(of_experts.flatten(1))
        self.register_buffer("bias", torch.zeros(n_classes))  # what a calibration adds

    def declared(self) -> dict[str, Any]:
        """Return what the constructor takes."""
        n_classes, n_features = self.weight.shape
        return {
            "n_features": n_features,
            "n_classes": n_classes,
            "scale": self.scale,
            "n_experts": self.n_experts,
        }

    def each(self, features: Features) -> Float[Tensor, "experts batch classes"]:
        """Return the scaled cosines of each expert, in the precision of the features."""
        # A loss asks for them within the step's autocast, which would round them to bfloat16.
        with torch.autocast(features.device.type, enabled=False):
            f, w = (
                F.normalize(all_of_them.view(len(all_of_them), self.n_experts, -1), dim=2)
                for all_of_them in (features, self.weight)
            )
            return self.scale * torch.einsum("bec,kec->ebk", f, w)

    def forward(self, features: Features) -> Logits:
        """Return the mean over the experts, plus the bias."""
        return self.each(features).mean(dim=0) + self.bias


class ScaledHead(nn.Module):
    """A head whose logits are multiplied by one factor a class (LWS)."""

    def __init__(self, head: nn.Module, n_classes: int) -> None:
        """Start from factors of 1."""
        super().__init__()
        self.head = head.requires_grad_(False)
        self.scale = nn.Parameter(torch.ones(n_classes))

    def declared(self) -> dict[str, Any]:
        """Return what the constructor takes."""
        return {"head": self.head, "n_classes": len(self.scale)}

    def forward(self, features: Features) -> Logits:
        """Return s_j z_j."""
        return self.head(features) * self.scale


class AlignedHead(nn.Module):
    """A head whose logits are scaled and shifted by class, as far as an image asks for it."""

    def __init__(self, head: nn.Module, n_features: int, n_classes: int) -> None:
        """Start from the head's own logits."""
        super().__init__()
        self.head = head.requires_grad_(False)
        self.scale = nn.Parameter(torch.ones(n_classes))
        self.shift = nn.Parameter(torch.zeros(n_classes))
        self.confidence = nn.Linear(n_features, 1)
        nn.init.zeros_(self.confidence.weight)
        nn.init.zeros_(self.confidence.bias)

    def declared(self) -> dict[str, Any]:
        """Return what the constructor takes."""
        n_features, n_classes = self.confidence.in_features, len(self.scale)
        return {"head": self.head, "n_features": n_features, "n_classes": n_classes}

    def forward(self, features: Features) -> Logits:
        """Return sigma (a z + b) + (1 - sigma) z."""
        logits, sigma = self.head(features), self.confidence(features).sigmoid()
        return logits + sigma * ((self.scale - 1.0) * logits + self.shift)


def signed_power(features: Features, power: float) -> Features:
    """Return sign(f) |f|^power: f^power where no feature is negative, and odd in each."""
    return features.sign() * features.abs().pow(power)


class PowerHead(nn.Module):
    """A head on features raised to a power, their signs kept."""

    def __init__(self, head: nn.Module, power: float) -> None:
        """Wrap a head fitted to such features."""
        super().__init__()
        self.head, self.power = head, power

    def declared(self) -> dict[str, Any]:
        """Return what the constructor takes."""
        return {"head": self.head, "power": self.power}

    def forward(self, features: Features) -> Logits:
        """Return the head's logits of the signed power of f."""
        return self.head(signed_power(features, self.power))


class MeansHead(nn.Module):
    """Logits from the distance or the angle to class means."""

    mean: Tensor
    means: Tensor

    def __init__(
        self,
        n_features: int,
        n_classes: int,
        centring: Centring,
        distance: Literal["squared", "cosine"],
    ) -> None:
        """Make room for the mean of all features and the means of the classes."""
        super().__init__()
        self.centring, self.distance = centring, distance
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("means", torch.zeros(n_classes, n_features))

    def declared(self) -> dict[str, Any]:
        """Return what the constructor takes."""
        n_classes, n_features = self.means.shape
        return {
            "n_features": n_features,
            "n_classes": n_classes,
            "centring": self.centring,
            "distance": self.distance,
        }

    def transform(self, features: Features) -> Features:
        """Return the features as they are compared."""
        if self.centring == "raw":
            return features
        return F.normalize(features - self.mean if self.centring == "centred_l2" else features)

    def forward(self, features: Features) -> Logits:
        """Return minus the squared distances, or the cosines."""
        of = self.transform(features)
        if self.distance == "cosine":
            return F.normalize(of) @ F.normalize(self.means).T
        return -(of[:, None] - self.means).square().sum(dim=2)


class NeighboursHead(nn.Module):
    """Logits from the votes of the nearest training features, by cosine."""

    features: Tensor
    ballots: Tensor

    def __init__(self, n_images: int, n_features: int, n_classes: int, k: int = 1) -> None:
        """Make room for the features of the training images and for what each votes for.

        Args:
            n_images: of train.
            n_features: C.
            n_classes: K.
            k: neighbours that vote.
        """
        super().__init__()
        self.k = k
        self.register_buffer("features", torch.zeros(n_images, n_features))
        self.register_buffer("ballots", torch.zeros(n_images, n_classes))

    @classmethod
    def of(
        cls,
        features: Float[Tensor, "images features"],
        labels: Int64[Tensor, " images"],
        n_classes: int,
        weights: Float[Tensor, " classes"] | None,
    ) -> "NeighboursHead":
        """Return the head of training images.

        Args:
            features: of the training images.
            labels: theirs.
            n_classes: K.
            weights: of a vote for each class; None counts all alike.
        """
        head = cls(features.shape[0], features.shape[1], n_classes).to(features.device)
        ballots = F.one_hot(labels, n_classes).float()
        head.features.copy_(F.normalize(features))
        head.ballots.copy_(ballots if weights is None else ballots * weights)
        return head

    def declared(self) -> dict[str, Any]:
        """Return what the constructor takes."""
        (n_images, n_features), n_classes = self.features.shape, self.ballots.shape[1]
        return {
            "n_images": n_images,
            "n_features": n_features,
            "n_classes": n_classes,
            "k": self.k,
        }

    def votes(self, features: Features, grid: Sequence[int]) -> Float[Tensor, "ks batch classes"]:
        """Return the log votes of the k nearest for each k, the nearest found once."""
        none = _NO_VOTE * self.ballots.max()
        places = torch.tensor(grid, device=features.device) - 1

        def of_rows(rows: slice) -> Float[Tensor, "ks rows classes"]:
            similarity = F.normalize(features[rows]) @ self.features.T
            nearest = similarity.topk(max(grid), dim=1).indices
            counted = self.ballots[nearest].cumsum(dim=1)  # [rows, k, classes]
            return (counted[:, places].transpose(0, 1) + none).log()

        # What is exported takes any number of images, so no cut may stand in its graph.
        if torch.jit.is_tracing() or torch.compiler.is_compiling():
            return of_rows(slice(None))
        # A whole val set times a whole train set would be gigabytes.
        return in_blocks(len(features), _ROWS, of_rows, dim=1)

    def forward(self, features: Features) -> Logits:
        """Return the log votes of the k nearest."""
        return self.votes(features, [self.k])[0]


def class_means(
    features: Float[Tensor, "images features"], labels: Int64[Tensor, " images"]
) -> Float[Tensor, "classes features"]:
    """Return the mean of each class's features."""
    members = F.one_hot(labels).to(features.dtype)
    return (members.T @ features) / members.sum(dim=0)[:, None]


def _unit_rows(*shape: int) -> Tensor:
    """Return vectors of length 1 along the last axis, normalised from draws in [-1, 1]^n."""
    return F.normalize(torch.empty(*shape).uniform_(-1.0, 1.0), dim=-1)
