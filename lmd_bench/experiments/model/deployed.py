"""A kept model as one module that stands alone: normalisation, encoder, head, temperature.

It takes float32 images in [0, 1] of the model's size, [batch, 3, size, size], RGB, and gives
logits and temperature-scaled probabilities. Reading, turning and resizing files is not part of it.
The model of a run that was given features takes features, [batch, width].
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
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.models.model import Model
from lmd_bench.methods.settings import section_config
from lmd_bench.training.features import asked_trunk
from lmd_bench.training.kept import KeptModel

TOLERANCE = 1e-4  # between what was exported and the model itself
OUTPUTS = ("logits", "probabilities")
_N_TRACED, _N_CHECKED = 2, 3  # images of a batch; another number, so that batches of any size work


class OnTrunk(nn.Module):
    """A frozen encoder, and the model that was trained on its features."""

    def __init__(self, trunk: nn.Module, model: Model) -> None:
        """Join them."""
        super().__init__()
        self.trunk = trunk
        self.encoder, self.head = model.encoder, model.head

    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, "batch features"], Float[Tensor, "batch classes"]]:
        """Return features and logits."""
        features = self.encoder(self.trunk(images))
        return features, self.head(features)


class Deployed(nn.Module):
    """Images in [0, 1], or features, to logits and probabilities."""

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, temperature: float, *, takes_images: bool) -> None:
        """Wrap a model.

        Args:
            model: which takes images normalised for ImageNet, as `make_view` gives them.
            temperature: that the logits are divided by.
            takes_images: False where it takes features, which are not normalised.
        """
        super().__init__()
        self.model = model
        self.temperature = temperature
        self.takes_images = takes_images
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))

    def forward(
        self, images: Float[Tensor, "batch 3 height width"] | Float[Tensor, "batch width"]
    ) -> tuple[Float[Tensor, "batch classes"], Float[Tensor, "batch classes"]]:
        """Return logits and softmax(logits / temperature)."""
        inputs = (images - self.mean) / self.std if self.takes_images else images
        logits = self.model(inputs)[1]
        return logits, (logits / self.temperature).softmax(dim=1)


def deployed(kept: KeptModel) -> Deployed:
    """Return a kept model as one module, on the CPU and in eval mode."""
    takes_images = bool(kept.facts.spec.task.image_size)
    module = Deployed(whole(kept), kept.facts.temperature, takes_images=takes_images)
    return module.eval().requires_grad_(False)


def whole(kept: KeptModel) -> nn.Module:
    """Return all that is between normalised images (or given features) and logits, on the CPU."""
    model = copy.deepcopy(kept.model).cpu()
    model.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]
    spec = kept.facts.spec
    if kept.facts.stored is None or not spec.task.image_size:
        return model
    training: TrainingConfig = section_config("training", spec.config)
    return OnTrunk(asked_trunk(training, spec.task.image_size), model)


def write_torchscript(kept: KeptModel, path: Path) -> None:
    """Write a file for `torch.jit.load`, which needs torch alone.

    Raises:
        UserError: what was written gives other numbers.
    """
    module = deployed(kept)
    with _quiet(), torch.no_grad():
        traced = torch.jit.trace(module, _inputs(kept, _N_TRACED), check_trace=False)
        torch.jit.save(traced, path)
        again = torch.jit.load(path)
        images = _inputs(kept, _N_CHECKED)
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
    name = "images" if module.takes_images else "features"
    with _quiet(), torch.no_grad():
        try:
            torch.onnx.export(
                module,
                (_inputs(kept, _N_TRACED),),
                path,
                input_names=[name],
                output_names=list(OUTPUTS),
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
            raise UserError(
                f"The model cannot be written as ONNX ({str(error).splitlines()[0]}); take "
                "--format torchscript or safetensors."
            ) from error
        images = _inputs(kept, _N_CHECKED)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        outputs = session.run(list(OUTPUTS), {name: images.numpy()})
        _check("ONNX", module(images), [torch.from_numpy(np.asarray(o)) for o in outputs])


def _inputs(kept: KeptModel, n: int) -> Tensor:
    """Return n random images, or features, to try a module with."""
    stored, size = kept.facts.stored, kept.facts.spec.task.image_size
    rng = torch.Generator().manual_seed(n)
    if stored is not None and not size:
        return torch.rand(n, stored.width, generator=rng) / stored.scale
    return torch.rand(n, 3, size, size, generator=rng)


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
