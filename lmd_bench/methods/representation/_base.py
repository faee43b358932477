"""The contract of a stage-1 method: which views it wants, its loss, and what follows a step."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from jaxtyping import Float, Int64
from torch import Tensor, nn

from lmd_bench.core.schema import Scalar
from lmd_bench.core.seeding import derive_seed
from lmd_bench.data.batches import generator
from lmd_bench.data.views import Views
from lmd_bench.methods.models.fixed import AnyEncoder
from lmd_bench.methods.models.model import Model

# "student" is the view that training.augmentation names, the same for every method;
# "second" is that of other images, drawn by `second_weights`
WantedView = Literal["student", "weak", "second"]


@dataclass(frozen=True)
class Targets:
    """The labels of a batch; where its images are mixed, those of their partners as well.

    A loss goes through `loss`, so it holds for mixed images too, at the cost of one forward.
    """

    labels: Int64[Tensor, " batch"]
    partner_labels: Int64[Tensor, " batch"] | None = None  # None: the images are not mixed
    share: float = 1.0  # of an image's own label, the rest is its partner's
    second: "Targets | None" = None  # of the second images, for a method that wants some

    def loss(
        self, of_labels: Callable[[Int64[Tensor, " batch"]], Float[Tensor, ""]]
    ) -> Float[Tensor, ""]:
        """Return share L(labels) + (1 - share) L(partners' labels), or L(labels) if not mixed."""
        own = of_labels(self.labels)
        if self.partner_labels is None:
            return own
        return self.share * own + (1.0 - self.share) * of_labels(self.partner_labels)


class Representation(ABC):
    """A way to train an encoder. The epoch loop itself is `lmd_bench.training`'s."""

    views: ClassVar[tuple[WantedView, ...]] = ("student",)
    # what it trains lies in the encoder: a head alone, on fixed features, is not enough
    needs_encoder: ClassVar[bool] = True
    cost: ClassVar[float] = 1.0  # of a step, in those of cross-entropy
    prior_in_loss: ClassVar[bool] = False  # the loss adds the log prior to the logits
    # of TrainingConfig, where what suits the method differs from what all share
    training_defaults: ClassVar[Mapping[str, Scalar]] = {}
    cosine_head: ClassVar[bool] = False  # the lengths of the head's class weights mean nothing
    # In the second pass of a sharpness-aware step: what a loss counts or queues, it has already.
    uphill: bool = False

    def __init__(
        self,
        config: Any,
        model: Model,
        class_counts: Int64[Tensor, " classes"],
        n_steps: int,
        seed: int,
    ) -> None:
        """Keep what the loss needs, then `prepare`.

        Args:
            config: the plug-in's own frozen Config.
            model: the model in training, on its device.
            class_counts: training images of each class, on the same device.
            n_steps: optimiser steps of the whole training.
            seed: of this training; all that the method draws follows from it.
        """
        self.config = config
        self.model = model
        self.class_counts = class_counts
        # For what is drawn in a step: each copy to the CPU waits for the GPU.
        self.counts_on_cpu = class_counts.cpu()
        self.n_steps = n_steps
        self.seed = seed
        # One stream for all draws of a training: each part of a batch and each label of a mixed
        # image gets its own.
        self.rng = generator(derive_seed(seed, "method"))
        self.extra = nn.ModuleList()  # what is trained with the model and then left behind
        self.prepare()

    def prepare(self) -> None:  # noqa: B027 - a hook; plain losses need none
        """Compute once what the loss needs (class weights, projections, a teacher)."""

    @abstractmethod
    def loss(
        self,
        views: Sequence[Views],
        targets: Targets,
        step: int,
    ) -> Float[Tensor, ""]:
        """Return the loss of one batch; `views` are in the order of the class's `views`."""

    @staticmethod
    def make_encoder(config: Any, encoder: AnyEncoder) -> nn.Module:
        """Return what is trained, made of an encoder; its `width` is the number of features."""
        return encoder

    @staticmethod
    def make_head(config: Any, n_features: int, n_classes: int) -> nn.Module:
        """Return the head that is trained with the encoder, drawn from torch's generator."""
        return nn.Linear(n_features, n_classes)

    @classmethod
    def deferral(cls, config: Any) -> float:
        """Return the share of training before which a run says nothing of its end.

        A method whose objective changes on a schedule returns where the new one begins, or has
        the larger part of the weight; no epoch before it is judged or kept.
        """
        return 0.0

    def draw_weights(self, epoch: int, n_epochs: int) -> Float[Tensor, " classes"] | None:
        """Return the weight with which an image of each class is drawn in an epoch, on the CPU.

        None, as here, takes each image once.

        Args:
            epoch: from 1.
            n_epochs: of the training.
        """
        return None

    def second_weights(self) -> Float[Tensor, " classes"] | None:
        """Return the weight with which a second image of each class is drawn, on the CPU.

        The same in every step: those of the next step are drawn while a step runs.
        """
        return None

    def after_step(self, step: int) -> None:  # noqa: B027 - a hook; most methods need none
        """Run once the optimiser has stepped (an EMA teacher, a queue, a schedule)."""
