"""A teacher that follows its student: the exponential moving average (EMA) of its weights."""

from collections.abc import Iterable

import torch
from torch import Tensor


def ema_alpha(step: int, decay: float) -> float:
    """Return the share of the teacher kept after step `step` (from 0); 0 first: a copy."""
    return min(1.0 - 1.0 / (step + 1), decay)


@torch.no_grad()
def move_towards(teacher: Iterable[Tensor], student: Iterable[Tensor], share: float) -> None:
    """Replace each t of the teacher by (1 - share) t + share s, in place."""
    for target, source in zip(teacher, student, strict=True):
        target.lerp_(source, share)
