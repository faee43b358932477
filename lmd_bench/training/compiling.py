"""torch.compile of the forward that an encoder is trained through, where it can run.

Looks at val, features and all that comes later run the encoder as it is: what was chosen on val is
what is stored.
"""

import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import nn

Forward = Callable[..., Any]


def compiled_forward(encoder: nn.Module, device: torch.device) -> Forward | None:
    """Return the compiled forward of an encoder; None, and a warning, where it cannot be had."""
    trouble = why_not(device)
    if trouble:
        warnings.warn(f"training.compile has no effect here: {trouble}", stacklevel=2)
        return None
    return torch.compile(encoder.forward)


@contextmanager
def put_in(encoder: nn.Module, forward: Forward | None) -> Generator[None, None, None]:
    """Let an encoder run through another forward inside; None leaves its own."""
    if forward is None:
        yield
        return
    # In the place of the class's method, and not around the module: names of parameters, copies
    # and hooks stay what they are.
    encoder.forward = forward
    try:
        yield
    finally:
        del encoder.forward


@cache
def why_not(device: torch.device) -> str:
    """Return why nothing can be compiled for a device, "" where it can be.

    The smallest function there is goes through the whole of it: torch has to know this Python, and
    needs a C++ compiler on a CPU and Triton on a GPU.
    """
    try:
        double: Forward = torch.compile(_double)
        double(torch.ones(8, device=device))
    except (RuntimeError, ImportError, OSError) as error:
        return " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return ""


def _double(values: torch.Tensor) -> torch.Tensor:
    return 2.0 * values
