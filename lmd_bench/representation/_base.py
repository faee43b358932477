"""The contract of a stage-1 method: which views it wants, its loss, and what follows a step."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from jaxtyping import Float, Int64
from torch import Tensor

from lmd_bench.backbones import Model

# "student" is the view that training.augmentation names, the same for every method
WantedView = Literal["student", "weak"]


class Representation(ABC):
    """A way to train an encoder. The epoch loop itself is `lmd_bench.training`'s."""

    views: ClassVar[tuple[WantedView, ...]] = ("student",)

    def __init__(
        self, config: Any, model: Model, class_counts: Int64[Tensor, " classes"], n_steps: int
    ) -> None:
        """Keep what the loss needs.

        Args:
            config: the plug-in's own frozen Config.
            model: the model in training, on its device.
            class_counts: training images of each class, on the same device.
            n_steps: optimiser steps of the whole training.
        """
        self.config = config
        self.model = model
        self.class_counts = class_counts
        self.n_steps = n_steps

    @abstractmethod
    def loss(
        self,
        views: Sequence[Float[Tensor, "batch 3 height width"]],
        labels: Int64[Tensor, " batch"],
        step: int,
    ) -> Float[Tensor, ""]:
        """Return the loss of one batch; `views` are in the order of the class's `views`."""

    def after_step(self, step: int) -> None:  # noqa: B027 - a hook; most methods need none
        """Run once the optimiser has stepped (an EMA teacher, a schedule)."""
