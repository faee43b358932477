"""Which device a trial runs on, what its row says of it, and where the pixels lie."""

import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from lmd_bench.core import paths
from lmd_bench.core.errors import BrokenPlaceError
from lmd_bench.core.machine import n_cores
from lmd_bench.core.schema import DataSource, Row, TrialContext, TrialSpec
from lmd_bench.data.batches import MappedPixels, ResidentPixels, gather
from lmd_bench.data.images.prepare import PreparedImages
from lmd_bench.methods.models.precision import in_precision, precision_of

_P = ParamSpec("_P")
_T = TypeVar("_T")

RESIDENT_SHARE = 0.25  # of a trial's GPU memory; the rest is the model's and its activations'
_DRIVER = Path("/proc/driver/nvidia/version")
_BLOCK = 1024  # images copied to the device at a time, to hold no second copy of the split


def n_gpus() -> int:
    """Return the GPUs that torch sees, CUDA_VISIBLE_DEVICES respected.

    Raises:
        BrokenPlaceError: the driver lists GPUs, and CUDA does not start on them.
    """
    n_listed = torch.cuda.device_count()
    # The driver counts without CUDA; training on the CPU instead would be billed as GPU hours.
    if n_listed and not torch.cuda.is_available():
        raise BrokenPlaceError(
            f"The driver lists {n_listed} GPU(s) here and CUDA does not start on them: the driver "
            f"is too old for CUDA {torch.version.cuda}, or a GPU has failed. Update the driver or "
            "install torch for its CUDA; CUDA_VISIBLE_DEVICES= (empty) trains on the CPU."
        )
    return n_listed


def usable_gpus() -> tuple[tuple[str, ...], str]:
    """Return the names of the GPUs that compute, and a sentence on the first that does not."""
    names: list[str] = []
    try:
        for index in range(n_gpus()):
            check_device(torch.device("cuda", index))
            names.append(torch.cuda.get_device_name(index))
    except BrokenPlaceError as error:
        return tuple(names), str(error)
    return tuple(names), ""


def context_here(results: Path, dataset: str, source: DataSource, command: str) -> TrialContext:
    """Return the context of a trial that has this whole machine to itself."""
    return TrialContext(
        results=results,
        source=paths.located(dataset, source),
        n_threads=n_cores(),
        gpu_share=float(min(1, n_gpus())),
        command=command,
    )


def device_of(context: TrialContext) -> torch.device:
    """Return the device that a context asks for."""
    if context.device != "auto":
        return torch.device(context.device)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def check_device(device: torch.device) -> None:
    """Check that a device takes work.

    Raises:
        BrokenPlaceError: it does not; another may.
    """
    try:
        square = torch.ones(1, 1, 8, 8, device=device)
        # What a wheel was not built for fails at the first kernel, cuBLAS and cuDNN by themselves.
        torch.nn.functional.conv2d(square, square[..., :3, :3]).add_((square @ square).mean()).cpu()
    except torch.OutOfMemoryError:
        # A matter of what else runs there; the trial finds out.
        return
    # torch has a dozen types for a GPU that is not there, and asserts where it was built without.
    except (RuntimeError, AssertionError) as error:
        text = " ".join(str(error).split())[:200]
        raise BrokenPlaceError(f"the device {device} cannot be used ({text})") from error


@contextmanager
def same_bits(context: TrialContext) -> Iterator[None]:
    """Let a GPU use only kernels that give the same bits each time, where the context asks for it.

    An operation without such a kernel raises torch's RuntimeError, which names it. The CPU's
    kernels are left as they are.
    """
    if not context.deterministic or device_of(context).type != "cuda":
        yield
        return
    # Read once, when cuBLAS starts, so it stays for the later trials of this process.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    algorithms = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        torch.use_deterministic_algorithms(True)
        cudnn.deterministic, cudnn.benchmark = True, False
        yield
    finally:
        torch.use_deterministic_algorithms(algorithms, warn_only=warn_only)
        cudnn.deterministic, cudnn.benchmark = before


def in_own_precision(
    run: Callable[Concatenate[TrialSpec, _P], _T],
) -> Callable[Concatenate[TrialSpec, _P], _T]:
    """Let what runs a trial do so in the precision of the trial's config."""

    @wraps(run)
    def run_in_it(spec: TrialSpec, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        asked: Any = spec.config.get("training.precision", "auto")
        with in_precision(asked):
            return run(spec, *args, **kwargs)

    return run_in_it


def device_columns(device: torch.device, context: TrialContext) -> Row:
    """Return what the trial ran on."""
    columns = {
        "host": socket.gethostname(),
        "n_threads": context.n_threads,
        "precision": str(precision_of(device)).removeprefix("torch."),
    }
    if device.type == "cpu":
        return columns | {"device": "cpu"}
    return columns | {
        "device": torch.cuda.get_device_name(device),
        "cuda_version": torch.version.cuda,
        "driver_version": driver_version(),
        "gpu_uuid": str(torch.cuda.get_device_properties(device).uuid),
        "peak_memory_mib": torch.cuda.max_memory_allocated(device) / 2**20,
    }


def driver_version(file: Path = _DRIVER) -> str | None:
    """Return the version of the NVIDIA driver, such as 580.65.06; None where it is not said.

    Args:
        file: of the kernel module, whose first line names it.
    """
    try:
        version = re.search(r"\b\d{3,}\.\d+(\.\d+)?\b", file.read_text().partition("\n")[0])
    except OSError:
        return None
    return version and version.group()


def open_pixels(
    prepared: PreparedImages,
    rows: Int64[np.ndarray, " rows"],
    device: torch.device,
    gpu_share: float,
) -> ResidentPixels | MappedPixels:
    """Return the pixels of a split for a trial on `device`.

    Args:
        prepared: the images.
        rows: the split's rows of the table.
        device: where batches are wanted.
        gpu_share: share of the GPU that the trial holds; 0, not said, counts as all of it.
    """
    mapped = prepared.mapped()
    # A split copied to the GPU once is indexed there; a larger one is streamed batch by batch.
    if device.type == "cpu" or not fits(mapped.nbytes, total_memory(device), gpu_share):
        return MappedPixels(mapped, rows, device)

    def load() -> UInt8[Tensor, "rows height width 3"]:
        pixels = torch.empty((len(rows), *mapped.shape[1:]), dtype=torch.uint8, device=device)
        for part in _blocks(len(rows)):
            pixels[part] = gather(mapped, rows[part], pinned=False).to(device)
        return pixels

    return ResidentPixels(len(rows), load)


def fits(n_bytes: int, total: int, gpu_share: float) -> bool:
    """Return whether a data set lies on a GPU as a whole, at most a quarter of the trial's share.

    The whole prepared array is counted, not a split, so that train, val and test of one trial are
    held the same way and fit together.

    Args:
        n_bytes: of the prepared array.
        total: memory of the GPU in bytes. Not what is free: equal trials are held alike.
        gpu_share: share of it that the trial holds; 0 counts as 1.
    """
    return n_bytes <= RESIDENT_SHARE * total * min(gpu_share or 1.0, 1.0)


def total_memory(device: torch.device) -> int:
    """Return the memory of a GPU in bytes."""
    return torch.cuda.get_device_properties(device).total_memory


def _blocks(n_rows: int) -> Iterator[slice]:
    return (slice(start, start + _BLOCK) for start in range(0, n_rows, _BLOCK))
