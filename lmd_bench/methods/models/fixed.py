"""What stands in the place of an encoder where features are stored: nothing, or a small adapter.

Features are divided by their root mean square over the training images, one number, so that a
learning rate or an eps means the same whatever encoder they come from.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lmd_bench.core.errors import UserError
from lmd_bench.methods.models.encoder import Encoder

HIDDEN = 256  # units of an adapter at most; a width below has as many

Vectors = Float[Tensor, "batch features"]


@dataclass(frozen=True)
class StoredFacts:
    """What is known of stored features.

    Attributes:
        width: C.
        signed: they may be negative.
        scale: 1 over their root mean square over the training images.
    """

    width: int
    signed: bool
    scale: float


class FixedEncoder(nn.Module):
    """Takes stored features for images: scaled, and through a small residual network if asked for.

        f = x / rms,   with an adapter   f = x / rms + V relu(U x / rms + u) + v

    V starts at 0, so an adapter starts from the features as they are.
    """

    def __init__(self, facts: StoredFacts, *, adapter: bool) -> None:
        """Draw the adapter from torch's generator where there is one."""
        super().__init__()
        self.width = facts.width
        self.signed = facts.signed or adapter
        self.scale = _Scale(facts.scale)
        self.adapter = _Residual(facts.width) if adapter else nn.Identity()

    def forward(self, stored: Vectors) -> Vectors:
        """Return the features that heads stand on."""
        return self.adapter(self.scale(stored))

    def split(self, last: Literal["stage", "block"]) -> tuple[nn.Sequential, nn.Module, nn.Module]:
        """Return what branches share, the adapter, of which each has its own, and nothing else.

        Args:
            last: the adapter is both, the last stage and its only block.

        Raises:
            UserError: nothing of the encoder is trained.
        """
        if isinstance(self.adapter, nn.Identity):
            raise UserError(
                f"Experts and branches train a {last} of the encoder each, and with "
                "training.tune=frozen nothing of it is trained; take training.tune=adapter."
            )
        return nn.Sequential(self.scale), self.adapter, nn.Identity()


AnyEncoder = Encoder | FixedEncoder  # what a stage 1 may be given to train


class _Scale(nn.Module):
    factor: Tensor

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.register_buffer("factor", torch.tensor(factor))

    def forward(self, stored: Vectors) -> Vectors:
        return stored * self.factor


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = min(width, HIDDEN)
        self.layers = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(), last := nn.Linear(hidden, width)
        )
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, features: Vectors) -> Vectors:
        return features + self.layers(features)
