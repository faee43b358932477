"""How much of a GPU a trial needs: the first epoch of its stage 1 with a look at val, measured."""

import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import torch

from lmd_bench.core.schema import Progress, TrialContext, TrialSpec
from lmd_bench.training.trial import run_trial

CONTEXT_BYTES = 600 * 2**20  # of CUDA itself, which torch does not count
MARGIN = 1.15  # calibration, other batches, fragmentation


class _SeenEnoughError(Exception):
    pass


def measure(spec: TrialSpec, context: TrialContext) -> float:
    """Return the share of the GPU's memory that a trial takes at its highest, with a margin.

    Raises:
        torch.OutOfMemoryError: it does not even fit alone.
    """
    torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as folder, suppress(_SeenEnoughError):
        run_trial(replace(spec, n_epochs=1), replace(context, results=Path(folder)), _stop)
    total = torch.cuda.get_device_properties(0).total_memory
    return share_needed(torch.cuda.max_memory_reserved(), total)


def share_needed(reserved: int, total: int) -> float:
    """Return the share of a GPU of `total` bytes for a process whose tensors took `reserved`."""
    return min(1.0, (MARGIN * reserved + CONTEXT_BYTES) / total)


def even_share(share: float) -> float:
    """Return the least 1 / k that is not below `share`, so that k trials fill one GPU."""
    return 1.0 / max(1, int(1.0 / share + 1e-9))


def _stop(progress: Progress) -> None:
    raise _SeenEnoughError
