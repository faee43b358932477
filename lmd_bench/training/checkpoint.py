"""A training that goes on where it was cut off: all that it remembers, on disk, without a pickle.

`<results>/encoders/.<key>.checkpoint/` holds `state.safetensors` and `state.json`, written at the
end of an epoch when the last one is some minutes old, and removed once the encoder is stored. Every
draw of a training follows from its seed and the step, so what goes on from the states of model,
optimiser and method gives the same numbers as a training that was never cut off.
"""

import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from lmd_bench.core.files import put_aside, whole_folder
from lmd_bench.core.schema import PIPELINE_VERSION, Progress
from lmd_bench.training.tensor_file import write_tensors

EVERY = 600.0  # seconds between two checkpoints; a shorter training leaves none
FORMAT = 1
_PLAIN = (bool, int, float, str, type(None))


class Checkpoint:
    """The checkpoint of one training; a disk that refuses it ends no training."""

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        """Keep it in `folder`; `facts` must be equal for a training to go on from it."""
        self.seconds = 0.0  # that the training had taken before it was cut off
        self._folder = folder
        self._facts = {
            "format": FORMAT,
            "pipeline": PIPELINE_VERSION,
            "torch": version("torch"),
            **facts,
        }
        self._began = self._last = time.monotonic()

    def save(self, epoch: int, parts: Mapping[str, Any]) -> None:
        """Write the state after `epoch`, if the last one is old enough."""
        now = time.monotonic()
        if now - self._last < EVERY:
            return
        self._last = now
        packing = _Packing()
        packed = {name: packing.pack(part, name) for name, part in parts.items()}
        spent = self.seconds + now - self._began
        text = json.dumps({**self._facts, "epoch": epoch, "seconds": spent, "parts": packed})
        # What is lost by a full disk are minutes, and only where the training is cut off as well.
        with suppress(OSError), whole_folder(self._folder, replace=True) as folder:
            write_tensors(packing.tensors, folder / "state.safetensors")
            (folder / "state.json").write_text(text)

    def load(self, parts: Mapping[str, Any], device: torch.device) -> tuple[int, dict[str, Any]]:
        """Put a stored state into `parts`, as far as they keep it themselves.

        Returns:
            the epoch after which it was written, 0 where there is none that fits; and the parts.
        """
        state = self._read()
        if state is None:
            return 0, dict(parts)
        facts, tensors = state
        self.seconds = float(facts["seconds"])
        unpack = _Unpacking(tensors, device).unpack
        restored = {name: unpack(facts["parts"][name], part) for name, part in parts.items()}
        return int(facts["epoch"]), restored

    def drop(self) -> None:
        """Remove it; the training has ended."""
        if self._folder.is_dir():
            put_aside(self._folder)

    def _read(self) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        try:
            facts = json.loads((self._folder / "state.json").read_text())
            if any(facts.get(name) != value for name, value in self._facts.items()):
                return None
            return facts, load_file(self._folder / "state.safetensors")
        except (OSError, ValueError, SafetensorError):
            # None, or one that was cut short: the training begins anew.
            return None


class _Packing:
    """Turns states into JSON and a flat dict of tensors."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        # What is put back in place, once. Numbers and containers of them may stand in two places.
        self._seen: set[int] = set()
        self._alive: list[Any] = []  # so that no id is given twice

    def pack(self, value: Any, name: str) -> Any:
        if isinstance(value, _PLAIN):
            return {"plain": value}
        if id(value) in self._seen:
            return {"same": True}
        if isinstance(value, nn.Module):
            self._remember(value, *value.modules(), *value.parameters(), *value.buffers())
            return {"module": self._items(value.state_dict(), name)}
        if isinstance(value, Tensor):
            self.tensors[name] = value.detach().cpu().contiguous().clone()
            return {"tensor": name}
        if isinstance(value, np.ndarray):
            return {"array": self.pack(torch.from_numpy(value), name)["tensor"]}
        if isinstance(value, np.generic):
            return {"plain": value.item()}
        if isinstance(value, torch.Generator):
            return {"generator": self.pack(value.get_state(), name)["tensor"]}
        if isinstance(value, np.random.Generator):
            return {"numpy": value.bit_generator.state}
        if isinstance(value, Progress):
            return {"progress": asdict(value)}
        if isinstance(value, Mapping):
            return {"items": self._items(value, name)}
        if isinstance(value, list | tuple | deque):
            kind = type(value).__name__
            return {kind: [self.pack(item, f"{name}.{n}") for n, item in enumerate(value)]}
        if _is_state(value):
            self._remember(value)
            # Modules first: what points into one of them stays as it is.
            items = sorted(vars(value).items(), key=lambda i: not isinstance(i[1], nn.Module))
            return {"object": {key: self.pack(item, f"{name}.{key}") for key, item in items}}
        # A function, a config: made anew, and the same.
        return {"same": True}

    def _items(self, value: Mapping[Any, Any], name: str) -> list[Any]:
        return [
            [self.pack(key, f"{name}.{n}.key"), self.pack(item, f"{name}.{n}")]
            for n, (key, item) in enumerate(value.items())
        ]

    def _remember(self, *values: Any) -> None:
        self._seen |= {id(value) for value in values}
        self._alive += values


class _Unpacking:
    """Puts states back: into what is there where it can be, else in its place."""

    def __init__(self, tensors: dict[str, Tensor], device: torch.device) -> None:
        self._tensors = tensors
        self._device = device

    def unpack(self, packed: dict[str, Any], there: Any) -> Any:
        ((kind, content),) = packed.items()
        if kind == "same":
            return there
        if kind == "plain":
            return content
        if kind == "tensor":
            device = there.device if isinstance(there, Tensor) else self._device
            return self._tensors[content].to(device)
        if kind == "array":
            return self._tensors[content].numpy()
        if kind == "progress":
            return Progress(**content)
        if kind == "items":
            return self._mapping(content)
        if kind in ("list", "tuple", "deque"):
            items = [self.unpack(item, None) for item in content]
            maxlen = there.maxlen if isinstance(there, deque) else None
            return {"list": list, "tuple": tuple}.get(kind, lambda i: deque(i, maxlen))(items)
        self._put(kind, content, there)
        return there

    def _put(self, kind: str, content: Any, there: Any) -> None:
        if kind == "module":
            there.load_state_dict(self._mapping(content))
        elif kind == "generator":
            there.set_state(self._tensors[content])
        elif kind == "numpy":
            there.bit_generator.state = content
        else:
            for key, item in content.items():
                setattr(there, key, self.unpack(item, getattr(there, key, None)))

    def _mapping(self, content: list[Any]) -> dict[Any, Any]:
        return {self.unpack(key, None): self.unpack(item, None) for key, item in content}


def _is_state(value: Any) -> bool:
    """Say whether an object's attributes are its state; those of what is frozen never change."""
    parameters: Any = vars(type(value)).get("__dataclass_params__")
    frozen = parameters is not None and parameters.frozen
    simple = isinstance(value, type | Callable | Path) or frozen
    return hasattr(value, "__dict__") and not simple
