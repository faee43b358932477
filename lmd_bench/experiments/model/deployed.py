"""A kept model as one module that stands alone: normalisation, encoder, head, temperature.

It takes float32 images in [0, 1] of the model's size, [batch, 3, size, size], RGB, and gives
logits and temperature-scaled probabilities. Reading, turning and resizing files is not part of it.
"""

import copy
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from lmd_bench.core.errors import UserError
from lmd_bench.data.views import IMAGENET_MEAN, IMAGENET_STD
from lmd_bench.methods.models.model import Model
from lmd_bench.training.kept import KeptModel

TOLERANCE = 1e-4  # between what was exported and the model itself
INPUT, OUTPUTS = "images", ("logits", "probabilities")
_N_TRACED, _N_CHECKED = 2, 3  # images of a batch; another number, so that batches of any size work


class Deployed(nn.Module):
    """Images in [0, 1] to logits and probabilities."""

    mean: Tensor
    std: Tensor

    def __init__(self, model: Model, temperature: float) -> None:
        """Wrap a model.

        Args:
            model: which takes images normalised for ImageNet, as `make_view` gives them.
            temperature: that the logits are divided by.
        """
        super().__init__()
        self.model = model
        self.temperature = temperature
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))

    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, "batch classes"], Float[Tensor, "batch classes"]]:
        """Return logits and softmax(logits / temperature)."""
        logits = self.model((images - self.mean) / self.std)[1]
        return logits, (logits / self.temperature).softmax(dim=1)


def deployed(kept: KeptModel) -> Deployed:
    """Return a kept model as one module, on the CPU and in eval mode."""
    model = copy.deepcopy(kept.model).cpu().to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]
    return Deployed(model, kept.facts.temperature).eval().requires_grad_(False)


def write_torchscript(kept: KeptModel, path: Path) -> None:
    """Write a file for `torch.jit.load`, which needs torch alone.

    Raises:
        UserError: what was written gives other numbers.
    """
    module = deployed(kept)
    size = kept.facts.spec.task.image_size
    with _quiet(), torch.no_grad():
        traced = torch.jit.trace(module, _images(_N_TRACED, size), check_trace=False)
        torch.jit.save(traced, path)
        again = torch.jit.load(path)
        images = _images(_N_CHECKED, size)
        _check("TorchScript", module(images), again(images))


def write_onnx(kept: KeptModel, path: Path) -> None:
    """Write a file for onnxruntime and others, checked with onnxruntime.

    Raises:
        UserError: a package is missing, an operation cannot be written, or what was written gives
            other numbers.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError as error:
        raise UserError(
            f"Export to ONNX needs the package {error.name}, which is not installed; "
            "pip install 'lmd-bench[export]' installs it."
        ) from error
    module = deployed(kept)
    size = kept.facts.spec.task.image_size
    with _quiet(), torch.no_grad():
        try:
            torch.onnx.export(
                module,
                (_images(_N_TRACED, size),),
                path,
                input_names=[INPUT],
                output_names=list(OUTPUTS),
                dynamic_shapes={INPUT: {0: torch.export.Dim("batch")}},
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
            raise UserError(
                f"The model cannot be written as ONNX ({str(error).splitlines()[0]}); take "
                "--format torchscript or safetensors."
            ) from error
        images = _images(_N_CHECKED, size)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        outputs = session.run(list(OUTPUTS), {INPUT: images.numpy()})
        _check("ONNX", module(images), [torch.from_numpy(np.asarray(o)) for o in outputs])


def _images(n: int, size: int) -> Float[Tensor, "batch 3 height width"]:
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(n))


def _check(name: str, expected: Sequence[Tensor], written: Sequence[Tensor]) -> None:
    """Check that an exported file gives the model's numbers.

    Raises:
        UserError: it does not.
    """
    for here, there in zip(expected, written, strict=True):
        # Logits of several hundred, as squared distances are, have an error of their own size.
        gap = float(((here - there).abs() / here.abs().clamp_min(1.0)).max())
        if not gap <= TOLERANCE:
            raise UserError(
                f"The {name} file gives other numbers than the model (by {gap:.1g}, allowed is "
                f"{TOLERANCE:g}), so it was not kept; take another --format."
            )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the exporters of torch say of their own future, and of constants, to themselves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
