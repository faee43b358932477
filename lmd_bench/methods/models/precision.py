"""In what precision encoders run on a device, and what training in half precision needs."""

import platform
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch

from lmd_bench.core.errors import UserError
from lmd_bench.methods.config import Precision

_EMULATING = ("DEFAULT", "AVX2")  # what torch calls x86 processors without AVX-512
_ASKED: ContextVar[Precision] = ContextVar("precision", default="auto")


@contextmanager
def in_precision(asked: Precision) -> Iterator[None]:
    """Let encoders run in a precision on every device; `auto` leaves it to the device."""
    before = _ASKED.set(asked)
    try:
        yield
    finally:
        _ASKED.reset(before)


def check_precision(device: torch.device) -> None:
    """Check that a device computes in the precision that was asked for, or nearly so.

    Raises:
        UserError: a CPU without AVX-512 would take some 25 times as long for a step in bfloat16.
    """
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    emulates = x86 and torch.backends.cpu.get_cpu_capability() in _EMULATING
    if device.type == "cpu" and emulates and precision_of(device) == torch.bfloat16:
        raise UserError(
            "training.precision=bfloat16 on a processor without AVX-512 takes some 25 times as "
            "long as float32; leave it at auto, or run on a processor or a GPU that has bfloat16."
        )


def autocast(device: torch.device) -> torch.autocast:
    """Return autocast to the precision in which encoders run on a device."""
    dtype = precision_of(device)
    # Of a disabled one no dtype is taken, but a name is asked for that autocast knows.
    enabled = dtype != torch.float32
    return torch.autocast(device.type, dtype=dtype if enabled else torch.bfloat16, enabled=enabled)


def precision_of(device: torch.device) -> torch.dtype:
    """Return what was asked for, or bfloat16 for a GPU that has it (Ampere and later).

    Else float16 for a GPU before, and float32 for a CPU. float16 has few exponents: training with
    it goes through `grad_scaler`.
    """
    asked = _ASKED.get()
    if asked != "auto":
        return torch.bfloat16 if asked == "bfloat16" else torch.float32
    if device.type != "cuda":
        return torch.float32
    has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if has_bfloat16 else torch.float16


def needs_scaling(device: torch.device) -> bool:
    """Say whether gradients of encoders on a device would become 0 unless the loss is scaled up.

    Optimisers are fused there: others would have to wait for the GPU to know whether a gradient
    overflowed, and so whether to step.
    """
    return precision_of(device) == torch.float16


def grad_scaler(device: torch.device) -> torch.amp.GradScaler:
    """Return what scales the loss up and the gradients down again; it does nothing elsewhere."""
    return torch.amp.GradScaler(device.type, enabled=needs_scaling(device))


def sgd(
    parameters: Iterable[Any], lr: float, momentum: float, weight_decay: float, device: torch.device
) -> torch.optim.SGD:
    """Return SGD of parameters, or of groups of them, on a device."""
    fused = needs_scaling(device) or None
    optimiser = torch.optim.SGD(
        parameters, lr=lr, momentum=momentum, weight_decay=weight_decay, fused=fused
    )
    # The fused one makes them of memory as it lies there, and leaves them so where the first
    # gradient overflows, which with a scale that is still too high is the rule.
    if fused:
        for group in optimiser.param_groups:
            for parameter in group["params"]:
                optimiser.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimiser
