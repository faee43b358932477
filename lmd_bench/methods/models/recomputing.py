"""Gradient checkpointing: the blocks of an encoder compute their activations again in the backward.

Takes a fifth to a half more time and a tenth to a third of the memory (benchmarks/README.md). The
numbers are those of a training without it: BatchNorm sees the whole batch, and counts it once.

Paper: Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016.
URL: https://arxiv.org/abs/1604.06174
"""

from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]
from torch.utils.checkpoint import checkpoint

from lmd_bench.methods.limits import recomputes

_LEAST = 2  # layers with weights; to compute a single one again saves next to nothing


@contextmanager
def recomputing(module: nn.Module) -> Generator[None, None, None]:
    """Let the blocks of a module keep no activations inside, where memory ran out before."""
    found = list(blocks(module)) if recomputes() else []
    for block in found:
        # In the place of the class's method, and not around the module: names of parameters,
        # copies and hooks stay what they are.
        block.forward = partial(
            checkpoint, block.forward, use_reentrant=False, context_fn=partial(_contexts, block)
        )
    try:
        yield
    finally:
        for block in found:
            del block.forward


def blocks(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the blocks of a network: what its sequences are made of, and has several layers.

    Those of a ResNet are its residual blocks, those of a transformer its layers.
    """
    for child in module.children():
        is_sequence = isinstance(child, nn.Sequential | nn.ModuleList)
        if isinstance(module, nn.Sequential) and not is_sequence and _n_layers(child) >= _LEAST:
            yield child
        else:
            yield from blocks(child)


def _n_layers(module: nn.Module) -> int:
    return sum(isinstance(layer, nn.Conv2d | nn.Linear) for layer in module.modules())


def _contexts(
    block: nn.Module,
) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), _counted_already(block)


@contextmanager
def _counted_already(block: nn.Module) -> Generator[None, None, None]:
    """Let the BatchNorm of a block see its batch a second time and move no running statistics."""
    norms = [module for module in block.modules() if isinstance(module, _BatchNorm)]
    # In evaluation they move none.
    norms = [norm for norm in norms if norm.training and norm.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked.sub_(1)
