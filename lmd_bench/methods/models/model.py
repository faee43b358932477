"""torchvision backbones without their classifier, and the model that puts a head on one."""

from collections.abc import Callable
from urllib.error import URLError

import torch
import torchvision
from jaxtyping import Float
from torch import Tensor, nn

from lmd_bench.core.errors import UserError
from lmd_bench.data.batches import ImageSet
from lmd_bench.data.views import make_view


class Model(nn.Module):
    """An encoder and its head. `forward` returns features and logits."""

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        """Join an encoder (images -> features) and a head (features -> logits)."""
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, "batch features"], Float[Tensor, "batch classes"]]:
        """Return features (post-ReLU, average-pooled) and logits, both float32.

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
    make_encoder: Callable[[nn.Module], nn.Module] = lambda encoder: encoder,
    make_head: Callable[[int, int], nn.Module] = nn.Linear,
) -> Model:
    """Return a torchvision ResNet with a fresh head, initialised from `seed`.

    Args:
        name: of the ResNet.
        n_classes: K.
        pretrained: start from torchvision's ImageNet weights.
        seed: of all that is drawn.
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
        trained = make_encoder(encoder)
        n_features = classifier.in_features * getattr(trained, "n_branches", 1)
        return Model(trained, make_head(n_features, n_classes))


def _load_pretrained(name: str) -> nn.Module:
    try:
        return torchvision.models.get_model(name, weights="DEFAULT")
    except (URLError, OSError) as error:
        raise UserError(
            f"The ImageNet weights of {name} could not be downloaded ({error}); connect to the "
            "network once, put the file into torch's hub cache, or train from random weights "
            "with --set training.pretrained=false."
        ) from error


EVAL_BATCH = 512


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
