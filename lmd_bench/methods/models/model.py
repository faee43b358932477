"""The model: an encoder and the head on it."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lmd_bench.data.batches import ImageSet
from lmd_bench.data.views import Views, make_view
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.draws import own_draws
from lmd_bench.methods.limits import in_blocks, n_parts
from lmd_bench.methods.models.encoder import draw_encoder
from lmd_bench.methods.models.fixed import AnyEncoder, FixedEncoder, StoredFacts
from lmd_bench.methods.models.precision import autocast

EVAL_BATCH = 512


class Model(nn.Module):
    """An encoder and its head. `forward` returns features and logits."""

    def __init__(
        self, encoder: nn.Module, head: nn.Module, *, signed_features: bool = False
    ) -> None:
        """Join an encoder (images -> features) and a head (features -> logits).

        `signed_features` declares that features may be negative: not those that are means of a
        ReLU's output.
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
    training: TrainingConfig,
    n_classes: int,
    *,
    seed: int,
    image_size: int | None = None,
    with_weights: bool = True,
    stored: StoredFacts | None = None,
    make_encoder: Callable[[AnyEncoder], nn.Module] = lambda encoder: encoder,
    make_head: Callable[[int, int], nn.Module] = nn.Linear,
) -> Model:
    """Return the encoder that a config names with a fresh head, initialised from `seed`.

    Args:
        training: the config.
        n_classes: K.
        seed: of all that is drawn.
        image_size: of the images it will see; None takes the encoder's own.
        with_weights: False where the weights are overwritten right after.
        stored: the features that stand for images; None where the model sees images.
        make_encoder: takes the encoder and returns what is trained; its `width` is the features'.
        make_head: takes the number of features and K.

    Raises:
        UserError: no such encoder, or weights that can neither be found nor downloaded.
    """
    with own_draws(seed):
        if stored is None:
            encoder = draw_encoder(training, image_size, with_weights=with_weights)
            signed = encoder.facts.signed
        else:
            encoder = FixedEncoder(stored, adapter=training.tune == "adapter")
            signed = encoder.signed
        trained = make_encoder(encoder)
        n_features: Any = trained.width
        head = make_head(n_features, n_classes)
        return Model(trained, head, signed_features=signed)


def predict(
    model: Model, images: ImageSet
) -> tuple[Float[Tensor, "images features"], Float[Tensor, "images classes"]]:
    """Return features and logits of the test view, in eval mode, as float32 on the device."""
    was_training = model.training
    model.eval()

    def both(rows: slice) -> Tensor:
        view = make_view("test", images.pixels[rows], seed=0)
        with autocast(view.device):
            features, logits = model(view)
        widths.append(features.shape[1])
        return torch.cat([features.float(), logits.float()], dim=1)

    widths: list[int] = []
    with torch.inference_mode():
        joined = in_blocks(len(images), max(1, EVAL_BATCH // n_parts()), both)
    model.train(was_training)
    return joined[:, : widths[0]].clone(), joined[:, widths[0] :].clone()
