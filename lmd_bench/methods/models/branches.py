"""An encoder whose last layers exist several times, each with features of its own."""

import copy
from collections.abc import Iterable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lmd_bench.data.views import Views
from lmd_bench.methods.models.encoder import SideBySide
from lmd_bench.methods.models.fixed import AnyEncoder


class BranchedEncoder(nn.Module):
    """An encoder whose last stage or last block is there once for each branch.

    The features are those of all branches, one after the other. The branches start from the same
    weights; what they are trained for drives them apart.
    """

    def __init__(
        self, encoder: AnyEncoder, n_branches: int, last: Literal["stage", "block"]
    ) -> None:
        """Take an encoder apart.

        Args:
            encoder: that can be split.
            n_branches: E.
            last: what a branch has to itself.

        Raises:
            UserError: it cannot be split.
        """
        super().__init__()
        self.shared, own, neck = encoder.split(last)
        self.n_branches = n_branches
        self.width = n_branches * encoder.width
        self.branches = SideBySide(copy.deepcopy(own) for _ in range(n_branches))
        self.necks = SideBySide(copy.deepcopy(neck) for _ in range(n_branches))

    def forward(self, images: Views) -> Float[Tensor, "batch features"]:
        """Return the features of all branches, side by side."""
        shared = self.shared(images)
        ends = zip(self.branches, self.necks, strict=True)
        return torch.cat([neck(branch(shared)) for branch, neck in ends], dim=1)

    def each(self, images: Iterable[Views]) -> list[Float[Tensor, "batch features"]]:
        """Return the features of each branch for images of its own."""
        ends = zip(self.branches, self.necks, images, strict=True)
        return [neck(branch(self.shared(image))) for branch, neck, image in ends]
