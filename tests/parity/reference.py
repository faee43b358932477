"""Numbers that the authors' own code gives on small fixed inputs, and how ours are held to them.

Each `.npz` beside this file holds inputs, values and gradients (`loss`, `grad_logits`, ...), made
by running public functions of the repository that SOURCES names on a CPU in float64. K = 8 classes
with 5000, 2590, 1342, 695, 360, 187, 97 and 51 images.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lmd_bench.core import plugins
from lmd_bench.methods.representation._criterion import Criterion
from tests import tiny

SOURCES = {
    "balanced_softmax": "jiawei-ren/BalancedMetaSoftmax-Classification@34a61e4328",
    "bbn": "Megvii-Nanjing/BBN@7992e90884",
    "bcl": "FlamieZhu/Balanced-Contrastive-Learning@f72d070379",
    "cb_focal": "richardaecn/class-balanced-loss@1d7857208a",
    "cdt": "zhangyongshun/BagofTricks-LT@ce7859a930",
    "class_balanced_ce": "richardaecn/class-balanced-loss@1d7857208a",
    "cosine_head": "kaidic/LDAM-DRW@2536330f2a and seven more, all alike",
    "cutmix_cmo": "clovaai/CutMix-PyTorch@2d8eb68faf, naver-ai/cmo@10d2d0988d",
    "drw": "kaidic/LDAM-DRW@2536330f2a",
    "ema": "peterlipan/LMD@0d632d31e4",
    "equalization": "zhangyongshun/BagofTricks-LT@ce7859a930",
    "focal": "kaidic/LDAM-DRW@2536330f2a",
    "gala": "lt-project-repository/lt-project@1eea15d5af",
    "gcl": "Keke921/GCLLoss@c2a62338eb",
    "influence_balanced": "pseulki/IB-Loss@b29b8b005f",
    "ldam": "kaidic/LDAM-DRW@2536330f2a",
    "logit_adjusted_loss": "google-research/google-research@1d4d2f1aa6 (logit_adjustment)",
    "mislas": "dvlab-research/MiSLAS@0fc381e333",
    "mixup": "facebookresearch/mixup-cifar10@eaff31ab39",
    "paco": "dvlab-research/Parametric-Contrastive-Learning@fe56535ecd",
    "progressive_sampling": "facebookresearch/classifier-balancing@f162adef63",
    "remix": "zhangyongshun/BagofTricks-LT@ce7859a930",
    "ride": "frank-xwang/RIDE-LongTailRecognition@ab8be5c211",
    "rrl": "peterlipan/LMD@0d632d31e4",
    "sade": "Vanint/SADE-AgnosticLT@cba11b8b0f",
    "seesaw": "open-mmlab/mmpretrain@ee7f2e8850",
    "supcon": "HobbitLong/SupContrast@66a8fe5388",
    "vs": "orparask/VS-Loss@7ade9c9959",
}


def load(name: str) -> dict[str, Tensor]:
    """Return the arrays of a file by name; text is left out."""
    with np.load(Path(__file__).with_name(f"{name}.npz")) as arrays:
        numbers = {key: arrays[key] for key in arrays.files if arrays[key].dtype.kind in "fiub"}
    return {key: torch.from_numpy(np.asarray(value)) for key, value in numbers.items()}


def close(found: Tensor, expected: Tensor, tolerance: float = 1e-5) -> bool:
    """Return whether all entries agree, relative to the largest of the expected ones."""
    largest = float(expected.abs().max())
    return float((found.double() - expected.double()).abs().max()) <= tolerance * largest


def check(
    loss: Callable[..., Tensor],
    arrays: dict[str, Tensor],
    inputs: str,
    value: str = "loss",
    *,
    factor: float = 1.0,
    tolerance: float = 1e-5,
) -> None:
    """Hold value and gradients of a loss to the reference, in single precision.

    Args:
        loss: takes the inputs.
        arrays: of the file.
        inputs: names of the arrays that are differentiated in, separated by spaces.
        value: name of the reference value; its gradients are `grad_<value>_<input>`.
        factor: ours over theirs, where the card says that they differ by a constant.
        tolerance: relative to the largest entry.
    """
    names = inputs.split()
    given = [arrays[name].float().requires_grad_() for name in names]
    found = loss(*given)
    assert close(found.detach(), factor * arrays[value], tolerance), (value, found, arrays[value])
    prefix = "grad" if value == "loss" else f"grad_{value}"
    for name, gradient in zip(names, torch.autograd.grad(found, given), strict=True):
        assert close(gradient, factor * arrays[f"{prefix}_{name}"], tolerance), (value, name)


def method(name: str, counts: Tensor, n_steps: int = 200, **settings: object) -> Criterion:
    """Return a stage-1 method whose model is not used."""
    config = plugins.load("representation", name).Config(**settings)
    return plugins.plugin_class("representation", name)(config, tiny.model(), counts, n_steps, 0)
