"""How much is computed at once; where memory runs out, a trial runs again in more parts."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_N_PARTS = ContextVar("n_parts", default=1)
_SIGNS = ("out of memory", "ALLOC_FAILED", "can't allocate memory", "not enough memory")


@contextmanager
def in_parts(n: int) -> Iterator[None]:
    """Let every loop below cut what it computes at once into `n` parts."""
    before = _N_PARTS.set(n)
    try:
        yield
    finally:
        _N_PARTS.reset(before)


def n_parts() -> int:
    """Return the parts that what is computed at once is cut into."""
    return _N_PARTS.get()


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error is that memory ran out: torch's, CUDA's, cuBLAS's, cuDNN's, the host's.

    Libraries that allocate beside torch say so in a RuntimeError's text alone.
    """
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)
