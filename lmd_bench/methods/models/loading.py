"""Weights from a file put into a network: read without unpickling, matched by name and shape."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from lmd_bench.core.errors import UserError
from lmd_bench.methods.weights import file_of

# What a checkpoint may hold the tensors under, and what may stand before each name of the trunk.
_NESTED = ("state_dict", "model_state_dict", "model", "teacher", "encoder", "backbone")
# What torch and safetensors raise where a file is cut short or holds more than tensors.
_UNREADABLE = (SafetensorError, UnpicklingError, RuntimeError, EOFError, ValueError, KeyError)
_N_NAMED = 3  # tensors named in a refusal


@dataclass(frozen=True)
class Matched:
    """Which tensors of a file a network took."""

    name: str  # of the weights, as a config has it
    taken: tuple[str, ...]  # the network's names
    ignored: tuple[str, ...]  # the file's names: classifiers, projections, optimisers' states

    def sentence(self) -> str:
        """Return what a person is told."""
        left = f"; {len(self.ignored)} others are not of it" if self.ignored else ""
        some = f" ({', '.join(self.ignored[:_N_NAMED])}, ...)" if self.ignored else ""
        return (
            f"weights {self.name}: all {len(self.taken)} tensors of the encoder match{left}{some}"
        )


def load_weights(
    network: nn.Module, name: str, backbone: str, renamed: Callable[..., Mapping[str, Tensor]]
) -> Matched:
    """Load a file of weights into a network, all of the network or nothing.

    Args:
        network: without classifier.
        name: of the weights, as a config has it.
        backbone: what the network is called.
        renamed: of its source: gives the tensors of a file the network's names.

    Raises:
        UserError: a file that cannot be read, holds other things than tensors, or does not fit.
    """
    path = file_of(name)
    theirs = renamed(read_tensors(path), network)
    own = network.state_dict()
    # Counters of BatchNorm that some formats leave out.
    needed = {k: v for k, v in own.items() if not k.endswith("num_batches_tracked")}
    prefix = max(_prefixes(theirs, needed), key=lambda p: _n_matching(theirs, needed, p))
    missing = [k for k in needed if f"{prefix}{k}" not in theirs]
    other = [
        f"{k} {list(theirs[f'{prefix}{k}'].shape)} for {list(value.shape)}"
        for k, value in needed.items()
        if k not in missing and theirs[f"{prefix}{k}"].shape != value.shape
    ]
    if missing or other:
        n_fit = len(needed) - len(missing) - len(other)
        why = f"lacks {_some(missing)}" if missing else f"has {_some(other)}"
        raise UserError(
            f"The weights {name} ({path.name}) are not those of encoder '{backbone}': {n_fit} of "
            f"its {len(needed)} tensors match, the file {why}."
        )
    taken = {k: theirs[f"{prefix}{k}"] for k in own if f"{prefix}{k}" in theirs}
    network.load_state_dict(taken, strict=False)
    used = {f"{prefix}{k}" for k in taken}
    return Matched(name, tuple(taken), tuple(k for k in theirs if k not in used))


def read_tensors(path: Path) -> Mapping[str, Tensor]:
    """Return the tensors of a file by name; nothing in it is run.

    Raises:
        UserError: it is cut short, damaged, or holds more than tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        read: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (
        SafetensorError,
        UnpicklingError,
        RuntimeError,
        EOFError,
        ValueError,
        KeyError,
    ) as error:
        # torch's own text advises to unpickle the file all the same.
        raise UserError(
            f"The weights in {path} cannot be read as tensors: the file is cut short, or holds "
            "objects that would run code. Save the state dict alone, best as .safetensors."
        ) from error
    for key in _NESTED:
        if isinstance(read, dict) and isinstance(read.get(key), dict):
            read = read[key]
    if not isinstance(read, dict):
        raise UserError(f"The file {path} holds no state dict; save that of the network.")
    named = cast("dict[object, object]", read)
    tensors = {str(k): value for k, value in named.items() if isinstance(value, Tensor)}
    if not tensors:
        raise UserError(f"The file {path} holds no tensors; save the state dict of the network.")
    return tensors


def _prefixes(theirs: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """Return what may stand before all names: what stands before any of the network's."""
    first = next(iter(own))
    found = {name.removesuffix(first) for name in theirs if name.endswith(first)}
    return ["", *sorted(p for p in found if p.endswith("."))]


def _n_matching(theirs: Mapping[str, Tensor], own: Mapping[str, Tensor], prefix: str) -> int:
    return sum(f"{prefix}{name}" in theirs for name in own)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _N_NAMED} more" if len(names) > _N_NAMED else ""
    return ", ".join(names[:_N_NAMED]) + more
