"""torchvision backbones without their classifier, and the model that puts a head on one."""

from collections.abc import Callable
from typing import Literal
from urllib.error import URLError

import torch
import torchvision
from jaxtyping import Float
from torch import Tensor, nn

from lmd_bench.core.errors import UserError
from lmd_bench.data.batches import ImageSet
from lmd_bench.data.views import Views, make_view

Stem = Literal["imagenet", "small"]
SMALL_BELOW = 96  # pixels: there the stock stem leaves the last stage a map of 1x1 or 2x2
EVAL_BATCH = 512


class Model(nn.Module):
    """An encoder and its head. `forward` returns features and logits."""

    def __init__(
        self, encoder: nn.Module, head: nn.Module, *, signed_features: bool = False
    ) -> None:
        """Join an encoder (images -> features) and a head (features -> logits).

        `signed_features` declares that features may be negative: not those of a ResNet, which are
        means of a ReLU's output.
        """
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.signed_features = signed_features

    def forward(
        self, images: Views
    ) -> tuple[Float[Tensor, "batch features"], Float[Tensor, "batch classes"]]:
        """Return features and logits, both float32.

        The head never runs in half precision: what was chosen on val must be what is stored.
        """
        features = self.encoder(images).float()
        with torch.autocast(features.device.type, enabled=False):
            return features, self.head(features)


def build_model(
    name: str,
    n_classes: int,
    *,
    pretrained: bool,
    seed: int,
    stem: Stem = "imagenet",
    make_encoder: Callable[[nn.Module], nn.Module] = lambda encoder: encoder,
    make_head: Callable[[int, int], nn.Module] = nn.Linear,
) -> Model:
    """Return a torchvision ResNet with a fresh head, initialised from `seed`.

    Args:
        name: of the ResNet.
        n_classes: K.
        pretrained: start from torchvision's ImageNet weights.
        seed: of all that is drawn.
        stem: the ResNet's own, or the one for small images.
        make_encoder: takes the ResNet without classifier and returns what is trained.
        make_head: takes the number of features and K.

    Raises:
        UserError: ImageNet weights were asked for and can neither be found nor downloaded.
    """
    with torch.random.fork_rng(devices=[]):  # built on the CPU
        torch.manual_seed(seed)
        encoder = _load_pretrained(name) if pretrained else torchvision.models.get_model(name)
        classifier = encoder.get_submodule("fc")
        assert isinstance(classifier, nn.Linear)
        encoder.fc = nn.Identity()
        if stem == "small":
            _shrink_stem(encoder)
        trained = make_encoder(encoder)
        n_features = classifier.in_features * getattr(trained, "n_branches", 1)
        return Model(trained, make_head(n_features, n_classes))


def stem_for(
    setting: Literal["auto", "imagenet", "small"], image_size: int, *, pretrained: bool
) -> Stem:
    """Return the stem that a setting means at an image size.

    `auto` takes the small stem below 96 px, and keeps the stock one where its weights are loaded.
    """
    if setting != "auto":
        return setting
    return "small" if image_size < SMALL_BELOW and not pretrained else "imagenet"


def predict(
    model: Model, images: ImageSet
) -> tuple[Float[Tensor, "images features"], Float[Tensor, "images classes"]]:
    """Return features and logits of the test view, in eval mode, as float32 on the device."""
    was_training = model.training
    model.eval()
    features: list[Tensor] = []
    logits: list[Tensor] = []
    with torch.inference_mode():
        for start in range(0, len(images), EVAL_BATCH):
            view = make_view("test", images.pixels[start : start + EVAL_BATCH], seed=0)
            with autocast(view.device):
                f, z = model(view)
            features.append(f.float())
            logits.append(z.float())
    model.train(was_training)
    return torch.cat(features).clone(), torch.cat(logits).clone()


def autocast(device: torch.device) -> torch.autocast:
    """Return bfloat16 autocast on a GPU that has it; float32 elsewhere."""
    enabled = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def _shrink_stem(encoder: nn.Module) -> None:
    """Put a 3x3 convolution of stride 1 without pooling in place of the 7x7 one of stride 4.

    Source: the CIFAR ResNets of He et al., Deep Residual Learning, CVPR 2016, section 4.2, as all
    published long-tailed codes use for images of 32 px. URL: https://arxiv.org/abs/1512.03385
    """
    stock = encoder.get_submodule("conv1")
    assert isinstance(stock, nn.Conv2d)
    conv = nn.Conv2d(3, stock.out_channels, kernel_size=3, stride=1, padding=1, bias=False)
    # As torchvision draws all convolutions of its ResNets.
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    encoder.conv1 = conv
    encoder.maxpool = nn.Identity()


def _load_pretrained(name: str) -> nn.Module:
    try:
        return torchvision.models.get_model(name, weights="DEFAULT")
    except (URLError, OSError) as error:
        raise UserError(
            f"The ImageNet weights of {name} could not be downloaded ({error}); connect to the "
            "network once, put the file into torch's hub cache, or train from random weights "
            "with --set training.pretrained=false."
        ) from error
