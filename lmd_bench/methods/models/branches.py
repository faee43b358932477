"""An encoder whose last layers exist several times, each with features of its own."""

import copy
from collections.abc import Iterable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lmd_bench.data.views import Views


class BranchedEncoder(nn.Module):
    """A ResNet whose last stage (`layer4`) or last block is there once for each branch.

    The features are those of all branches, one after the other. The branches start from the same
    weights; what they are trained for drives them apart.
    """

    def __init__(self, resnet: nn.Module, n_branches: int, last: Literal["stage", "block"]) -> None:
        """Take a torchvision ResNet apart.

        Args:
            resnet: without a classifier.
            n_branches: E.
            last: what a branch has to itself.
        """
        super().__init__()
        parts = list(resnet.children())[:-2]  # without average pooling and classifier
        if last == "block":
            *kept, block = parts.pop().children()
            parts += [nn.Sequential(*kept), block]
        self.n_branches = n_branches
        self.shared = nn.Sequential(*parts[:-1])
        self.branches = nn.ModuleList(copy.deepcopy(parts[-1]) for _ in range(n_branches))

    def forward(self, images: Views) -> Float[Tensor, "batch features"]:
        """Return the features of all branches, side by side."""
        shared = self.shared(images)
        return torch.cat([pooled(branch(shared)) for branch in self.branches], dim=1)

    def each(self, images: Iterable[Views]) -> list[Float[Tensor, "batch features"]]:
        """Return the features of each branch for images of its own."""
        pairs = zip(self.branches, images, strict=True)
        return [pooled(branch(self.shared(image))) for branch, image in pairs]


def pooled(maps: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels"]:
    """Return the mean of each channel's map."""
    return maps.mean(dim=(2, 3))
