"""How much is computed at once; where memory runs out, it is computed in smaller parts.

What does not depend on how it is cut (features, votes) goes on in halves on the spot. What does,
through BatchNorm (steps of stage 1 and of the E-step), makes the trial run again: first with
activations that are computed again in the backward, which changes no number, then in more parts
too. Its row says both.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

_N_PARTS = ContextVar("n_parts", default=1)
_RECOMPUTES = ContextVar("recomputes", default=False)
_SIGNS = ("out of memory", "ALLOC_FAILED", "can't allocate memory", "not enough memory")


@contextmanager
def in_parts(n: int, *, recompute: bool = False) -> Iterator[None]:
    """Let every loop below cut what it computes at once into `n` parts.

    Args:
        n: Parts.
        recompute: Whether trained encoders compute activations again in place of keeping them.
    """
    before, kept = _N_PARTS.set(n), _RECOMPUTES.set(recompute)
    try:
        yield
    finally:
        _N_PARTS.reset(before)
        _RECOMPUTES.reset(kept)


def n_parts() -> int:
    """Return the parts that what is computed at once is cut into."""
    return _N_PARTS.get()


def recomputes() -> bool:
    """Return whether trained encoders compute activations again in place of keeping them."""
    return _RECOMPUTES.get()


def in_blocks(n: int, size: int, compute: Callable[[slice], Tensor], dim: int = 0) -> Tensor:
    """Return what is computed for n rows, block by block; halves of a block where memory runs out.

    Args:
        n: rows. Computed at least once: of no rows comes nothing, of the right shape.
        size: of a block at first.
        compute: takes rows and returns their results, each by itself.
        dim: along which results are joined.
    """
    results: list[Tensor] = []
    start = 0
    while start < max(n, 1):
        try:
            results.append(compute(slice(start, start + size)))
            start += size
            continue
        except Exception as error:
            if size == 1 or not is_out_of_memory(error):
                raise
        # Outside of the handler, where its traceback holds no tensors any more.
        torch.cuda.empty_cache()
        size //= 2
    return torch.cat(results, dim)


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error is that memory ran out: torch's, CUDA's, cuBLAS's, cuDNN's, the host's.

    Libraries that allocate beside torch say so in a RuntimeError's text alone.
    """
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)
