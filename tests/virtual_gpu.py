"""Runs GPU code without a GPU: real numbers on the CPU, labelled as what would lie on the GPU.

`virtual_gpu()` makes torch believe in one CUDA device. A tensor that the code puts there stays in
host memory, but its storage is labelled; `tensor.device` then says `cuda:0`, and views, results
and gradients inherit the label. Each operation is looked at before it runs:

- operands on both devices, or a generator of the other one: DeviceMismatch, with file and line;
- `.numpy()` of what lies on the GPU: TypeError, as torch's;
- what makes the CPU wait for the GPU (`.item()`, `.cpu()`, masks as indices, `bincount`, blocking
  copies, ...): counted by line in `Ledger.waits`;
- results in half precision: counted by line in `Ledger.halves`.

Numbers are real, so whole trials run. FakeTensorMode cannot do that: without a driver its
`backward` fails, `.item()` and `nonzero` raise, and autocast switches itself off.

What it cannot see: CUDA's own kernels and their rounding, real memory, real time. Autocast is that
of the CPU: the same operations in bfloat16 (convolutions, matrix products), fewer in float32.
"""

import contextlib
import sys
import threading
import types
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lmd_bench.core import plugins
from lmd_bench.data.views import forget_constants

PACKAGE = "lmd_bench"
GPU = torch.device("cuda", 0)
CPU = torch.device("cpu")
MEMORY = 80 * 2**30

aten = torch.ops.aten
# operations whose CUDA form reads a number back: the CPU waits until the GPU has come that far
READS_BACK = {
    aten._local_scalar_dense.default: 1,
    aten.nonzero.default: 1,
    aten.masked_select.default: 1,
    aten.bincount.default: 2,  # the smallest and the largest value
    aten.equal.default: 1,
    aten._unique2.default: 1,
    aten._linalg_eigh.default: 1,
    aten.repeat_interleave.Tensor: 1,
}
INDEXING = {
    aten.index.Tensor,
    aten._unsafe_index.Tensor,
    aten.index_put.default,
    aten.index_put_.default,
    aten._index_put_impl_.default,
}
COPIES = {aten.copy_.default}
NEED_ONE_DEVICE = {aten.cat.default, aten.stack.default}  # even for scalars


class DeviceMismatch(RuntimeError):
    """What CUDA would answer with `Expected all tensors to be on the same device`."""


@dataclass
class Ledger:
    """What a run did on the virtual GPU."""

    waits: Counter[tuple[str, str]] = field(default_factory=Counter)  # (what, file:line) -> times
    copies: Counter[tuple[str, str]] = field(default_factory=Counter)  # host to device, no wait
    halves: Counter[tuple[str, str]] = field(default_factory=Counter)  # (operation, file:line)
    unseeded: Counter[tuple[str, str]] = field(default_factory=Counter)  # CUDA's global generator
    operations: int = 0  # on the GPU: about the kernels that Python has to launch

    def __post_init__(self) -> None:
        self._held: dict[int, StorageWeakRef] = {}
        self._pinned: dict[int, StorageWeakRef] = {}
        self.fractions: list[float] = []  # of the memory, that a process was held to
        self._of_thread = threading.local()

    @property
    def exempt(self) -> bool:
        return getattr(self._of_thread, "exempt", False)

    @exempt.setter
    def exempt(self, value: bool) -> None:
        self._of_thread.exempt = value

    @property
    def inherits(self) -> bool:
        """Say whether what is made inside of a call gets the device of its arguments."""
        return getattr(self._of_thread, "inherits", False)

    @inherits.setter
    def inherits(self, value: bool) -> None:
        self._of_thread.inherits = value

    def holds(self, tensor: Tensor) -> bool:
        return _key(tensor) in self._held

    def pinned(self, tensor: Tensor) -> bool:
        return _key(tensor) in self._pinned

    def put(self, tensor: Tensor) -> None:
        _remember(self._held, tensor)

    def pin(self, tensor: Tensor) -> None:
        _remember(self._pinned, tensor)

    def take(self, tensor: Tensor) -> None:
        self._held.pop(_key(tensor), None)

    def wait(self, what: str, times: int = 1) -> None:
        if not self.exempt:
            self.waits[what, where()] += times

    def live_bytes(self) -> int:
        """Return the bytes that lie on the GPU now."""
        storages = [
            torch.UntypedStorage._new_with_weak_ptr(ref.cdata)
            for ref in list(self._held.values())
            if not ref.expired()
        ]
        return sum(storage.nbytes() for storage in storages if storage is not None)


_TIDYING = threading.Lock()


def _key(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _remember(held: dict[int, StorageWeakRef], tensor: Tensor) -> None:
    # One thread alone tidies up: what another lets go meanwhile may be the address of a new tensor.
    with _TIDYING:
        if len(held) % 4096 == 4095:
            for key in [key for key, ref in list(held.items()) if ref.expired()]:
                held.pop(key, None)
        ref = StorageWeakRef(tensor.untyped_storage())  # holds the address, so none is used twice
        held[ref.cdata] = ref


def where() -> str:
    """Return the innermost line of the package."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if f"/{PACKAGE}/" in name:
            return f"{name.rsplit(f'/{PACKAGE}/', 1)[1]}:{frame.f_lineno}"
        frame = frame.f_back
    return "?"


def _is_gpu(device: Any) -> bool:
    return device is not None and torch.device(device).type == "cuda"


class _Operations(TorchDispatchMode):
    """Looks at every operation, those of autograd too."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self.ledger = ledger

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        here = [t for t in tensors if self.ledger.holds(t)]
        there = [t for t in tensors if not self.ledger.holds(t)]
        if here:
            self.ledger.operations += 1
            self._check(func, args, kwargs, here, there)
        out = func(*args, **kwargs)
        if (here and func not in COPIES) or (not tensors and self.ledger.inherits):
            known = {_key(t) for t in tensors}
            for result in tree_leaves(out):
                if isinstance(result, Tensor) and _key(result) not in known:
                    self.ledger.put(result)
                    if result.dtype in (torch.bfloat16, torch.float16):
                        self.ledger.halves[str(func), where()] += 1
        return out

    def _check(self, func: Any, args: Any, kwargs: Any, here: list[Tensor], there: list[Tensor]):
        ledger = self.ledger
        if func in READS_BACK:
            ledger.wait(func._schema.name.split("::")[1], READS_BACK[func])
        if func in INDEXING:
            indices = [i for i in args[1] if i is not None]
            if not ledger.holds(args[0]):
                raise DeviceMismatch(f"{where()}: {func} of a CPU tensor by indices on the GPU")
            # a mask and one number become masked_fill, which waits for nothing
            fills = func is not aten.index.Tensor and len(args) > 2 and args[2].numel() == 1
            for index in indices:
                if fills and index.dtype in (torch.bool, torch.uint8):
                    continue
                if index.dtype in (torch.bool, torch.uint8):
                    ledger.wait("mask as index")
                elif not ledger.holds(index):
                    ledger.wait("index on the CPU")
            there = [t for t in there if all(t is not i for i in indices)]
        if func in COPIES:
            if there and not kwargs.get("non_blocking", len(args) > 2 and args[2]):
                ledger.wait("copy_ between devices")
            return
        large = [t for t in there if t.dim() > 0 or func in NEED_ONE_DEVICE]
        inplace = func._schema.name.endswith("_") and any(args[0] is t for t in there)
        if large or inplace:
            shapes = [tuple(t.shape) for t in large or there]
            raise DeviceMismatch(f"{where()}: {func} of the GPU's tensors and {shapes} on the CPU")
        draws = any(word in str(func) for word in ("normal_", "uniform", "rand"))
        if draws and kwargs.get("generator") is None:
            ledger.unseeded[str(func), where()] += 1


class _Functions(TorchFunctionMode):
    """Answers what a tensor's device is, and moves tensors between the devices."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self.ledger = ledger

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if name == "__get__":
            return self._attribute(func, args, kwargs)
        special = getattr(self, f"_{name.strip('_')}", None) if args or kwargs else None
        if special is not None and args and isinstance(args[0], Tensor):
            return special(func, args, kwargs)
        self._check_generator(kwargs, args)
        if "device" in kwargs:
            return self._made(func, name, args, kwargs)
        if kwargs.pop("pin_memory", False):
            out = func(*args, **kwargs)
            self.ledger.pin(out)
            return out
        return self._call(func, args, kwargs)

    def _call(self, func: Any, args: Any, kwargs: Any) -> Any:
        before = self.ledger.inherits
        leaves = tree_leaves((args, kwargs))
        self.ledger.inherits = any(isinstance(x, Tensor) and self.ledger.holds(x) for x in leaves)
        try:
            return func(*args, **kwargs)
        finally:
            self.ledger.inherits = before

    def _attribute(self, func: Any, args: Any, kwargs: Any) -> Any:
        name = getattr(func.__self__, "__name__", "")
        if name in ("device", "is_cuda", "is_cpu") and isinstance(args[0], Tensor):
            on_gpu = self.ledger.holds(args[0])
            return {"device": GPU if on_gpu else CPU, "is_cuda": on_gpu, "is_cpu": not on_gpu}[name]
        return func(*args, **kwargs)

    def _made(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        on_gpu = _is_gpu(kwargs["device"])
        if on_gpu:
            kwargs["device"] = CPU
        kwargs.pop("pin_memory", None)
        out = func(*args, **kwargs)
        if on_gpu:
            for tensor in tree_leaves(out):
                self.ledger.put(tensor)
            if name in ("tensor", "as_tensor", "asarray"):
                self.ledger.wait(f"torch.{name}(..., device=)")
            if name.startswith("rand") and kwargs.get("generator") is None:
                self.ledger.unseeded[name, where()] += 1
        elif any(isinstance(a, Tensor) and self.ledger.holds(a) for a in args):
            for tensor in tree_leaves(out):
                self.ledger.take(tensor)
        return out

    def _check_generator(self, kwargs: Any, args: Any) -> None:
        rng = kwargs.get("generator")
        if rng is None:
            return
        on_gpu = _is_gpu(kwargs.get("device")) or any(
            isinstance(a, Tensor) and self.ledger.holds(a) for a in args
        )
        if on_gpu != getattr(rng, "on_gpu", False):
            wanted = "cuda" if on_gpu else "cpu"
            raise DeviceMismatch(f"{where()}: Expected a '{wanted}' device type for generator")

    # each of these is called for the method of a tensor that has its name

    def _to(self, func: Any, args: Any, kwargs: Any) -> Any:
        tensor, rest = args[0], args[1:]
        if rest and isinstance(rest[0], Tensor):
            other = rest[0]
            rest = (GPU if self.ledger.holds(other) else CPU, other.dtype, *rest[1:])
        copy = kwargs.pop("copy", False)
        device, dtype, non_blocking, layout = torch._C._nn._parse_to(*rest, **kwargs)
        dtype = dtype or tensor.dtype
        options = {} if layout is None else {"memory_format": layout}
        from_gpu = self.ledger.holds(tensor)
        to_gpu = from_gpu if device is None else _is_gpu(device)
        if to_gpu == from_gpu:
            return func(tensor, dtype=dtype, copy=copy, **options)
        out = func(tensor, dtype=dtype, copy=True, **options)
        return self._moved(tensor, out, to_gpu, non_blocking)

    def _moved(self, tensor: Tensor, out: Tensor, to_gpu: bool, non_blocking: bool) -> Tensor:
        if to_gpu:
            self.ledger.put(out)
            if non_blocking:
                kind = "pinned" if self.ledger.pinned(tensor) else "pageable"
                self.ledger.copies[kind, where()] += 1
            else:
                self.ledger.wait("blocking copy to the GPU")
        else:
            self.ledger.take(out)
            if not non_blocking:
                self.ledger.wait("copy to the CPU")
        return out

    def _cpu(self, func: Any, args: Any, kwargs: Any) -> Any:
        return self._to(torch.Tensor.to, (args[0], CPU), {})

    def _cuda(self, func: Any, args: Any, kwargs: Any) -> Any:
        return self._to(torch.Tensor.to, (args[0], GPU), {})

    def _numpy(self, func: Any, args: Any, kwargs: Any) -> Any:
        if self.ledger.holds(args[0]):
            raise TypeError(f"{where()}: can't convert cuda:0 device type tensor to numpy")
        return func(*args, **kwargs)

    _array = _numpy

    def _pin_memory(self, func: Any, args: Any, kwargs: Any) -> Any:
        out = args[0].clone()
        self.ledger.pin(out)
        return out

    def _tolist(self, func: Any, args: Any, kwargs: Any) -> Any:
        if self.ledger.holds(args[0]):
            self.ledger.wait("tolist")
        return func(*args, **kwargs)

    def _deepcopy(self, func: Any, args: Any, kwargs: Any) -> Any:
        self.ledger.exempt = True  # the storage is copied; the label has to follow
        try:
            out = func(*args, **kwargs)
        finally:
            self.ledger.exempt = False
        if self.ledger.holds(args[0]):
            self.ledger.put(out)
        return out

    def _one_hot(self, func: Any, args: Any, kwargs: Any) -> Any:
        given = len(args) > 1 or "num_classes" in kwargs
        if not (given and self.ledger.holds(args[0])):
            return self._call(func, args, kwargs)
        self.ledger.exempt = True  # CUDA does not look at the labels if it is told K
        try:
            return self._call(func, args, kwargs)
        finally:
            self.ledger.exempt = False


class _Generator(torch.Generator):
    def __new__(cls, device: Any = "cpu") -> "_Generator":
        self = super().__new__(cls, "cpu")
        self.on_gpu = _is_gpu(device)
        return self

    def __init__(self, device: Any = "cpu") -> None:
        pass


class _Autocast(torch.autocast):
    def __init__(self, device_type: str, *args: Any, **kwargs: Any) -> None:
        super().__init__("cpu" if device_type == "cuda" else device_type, *args, **kwargs)


@contextlib.contextmanager
def virtual_gpu(bf16: bool = True) -> Iterator[Ledger]:
    """Run the body as if torch had one CUDA device; yields what happens on it."""
    ledger = Ledger()
    # What is imported below would take the generator below for torch's own in its annotations.
    for kind in ("representation", "calibration"):
        for name in plugins.names(kind):
            plugins.load(kind, name)

    def fraction(share: float, device: Any = None) -> None:
        # As torch does: a device without a number is refused.
        assert device is None or torch.device(device).index is not None, device
        ledger.fractions.append(share)

    run = threading.Thread.run

    def on_gpu(thread: threading.Thread) -> None:
        # The modes are of a thread; whoever starts another one means the same GPU.
        with _Operations(ledger), _Functions(ledger):
            run(thread)

    properties = types.SimpleNamespace(
        total_memory=MEMORY, name="virtual", major=9, minor=0, uuid="GPU-0"
    )
    cuda = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "get_device_name": lambda *a, **k: "virtual GPU",
        "get_device_properties": lambda *a, **k: properties,
        "is_bf16_supported": lambda *a, **k: bf16,
        "reset_peak_memory_stats": lambda *a, **k: None,
        "max_memory_allocated": lambda *a, **k: 2**30,
        "max_memory_reserved": lambda *a, **k: 2**30,
        "empty_cache": lambda: None,
        "is_current_stream_capturing": lambda: False,
        "set_per_process_memory_fraction": fraction,
        "synchronize": lambda *a, **k: None,
        "get_rng_state": lambda *a, **k: torch.zeros(16, dtype=torch.uint8),
        "set_rng_state": lambda *a, **k: None,
    }
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.multiple(torch.cuda, **cuda))
        stack.enter_context(mock.patch.object(torch, "Generator", _Generator))
        stack.enter_context(mock.patch.object(torch, "autocast", _Autocast))
        stack.enter_context(mock.patch.object(threading.Thread, "run", on_gpu))
        of_kind = torch.optim.Optimizer._group_tensors_by_device_and_dtype

        def of_gpu(tensors: Any, with_indices: bool = False) -> Any:
            # Told apart in C++, which knows of no label.
            on_gpu = isinstance(tensors[0][0], Tensor) and ledger.holds(tensors[0][0])
            groups = of_kind(tensors, with_indices)
            return {(GPU if on_gpu else at, dtype): of for (at, dtype), of in groups.items()}

        grouped = staticmethod(of_gpu)
        name = "_group_tensors_by_device_and_dtype"
        stack.enter_context(mock.patch.object(torch.optim.Optimizer, name, grouped))
        # What was kept before lies on no GPU, and what is kept now is labelled by this ledger.
        forget_constants()
        stack.callback(forget_constants)
        stack.enter_context(_Operations(ledger))
        stack.enter_context(_Functions(ledger))
        yield ledger
