"""Seeded draws on the CPU, and what applies them to a part of a batch on its device."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, ParamSpec

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

P = ParamSpec("P")
Images = Float[Tensor, "batch 3 height width"]
Views = Float[Tensor, "batch *rest"]  # images, or features that stand for them

_MOST_KEPT = 32  # constants of one kind: image sizes and devices of a process are few
_FORGET: list[Callable[[], None]] = []


def constant(make: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Let a tensor be made once for each set of arguments, its device among them, and kept.

    Nobody may write to it. `forget_constants` lets go of all.
    """

    def made(*of: P.args, **options: P.kwargs) -> Tensor:
        # Whoever asks first may be in inference mode, whose tensors are of no use elsewhere.
        with torch.inference_mode(False):
            return make(*of, **options)

    kept: Any = lru_cache(_MOST_KEPT)(made)
    _FORGET.append(kept.cache_clear)
    return kept


def forget_constants() -> None:
    """Let go of what is kept, on every device."""
    for forget in _FORGET:
        forget()


def chosen(rng: torch.Generator, n: int, probability: float) -> Bool[Tensor, " {n}"]:
    """Return n independent truths, each with this probability."""
    return torch.rand(n, generator=rng) < probability


def uniform(rng: torch.Generator, low: float, high: float, *shape: int) -> Float[Tensor, "..."]:
    """Return independent draws from [low, high)."""
    return torch.rand(*shape, generator=rng) * (high - low) + low


def one_of(
    rng: torch.Generator, n: int, probability: float, weights: Sequence[float]
) -> Int64[Tensor, " {n}"]:
    """Return for each of n images the number of the one member it gets, or -1 for none.

    Args:
        rng: the view's generator.
        n: images.
        probability: that an image gets any member.
        weights: of the members against one another; they need not sum to one.
    """
    members = torch.multinomial(torch.tensor(weights), n, replacement=True, generator=rng)
    return torch.where(chosen(rng, n, probability), members, -1)


def change(
    batch: Tensor, where: Bool[Tensor, " batch"], transform: Callable[[Tensor], Tensor]
) -> None:
    """Replace in place the rows of a batch where the truths, on the CPU, say so.

    Their number is known on the CPU, so a GPU is never waited for.
    """
    rows = where.nonzero().flatten()
    if len(rows):
        index = on_device(rows, batch.device)
        batch[index] = transform(batch[index])


def on_device(values: Tensor, device: torch.device) -> Tensor:
    """Return small drawn values on the device without waiting for it."""
    return values.to(device, non_blocking=True)
