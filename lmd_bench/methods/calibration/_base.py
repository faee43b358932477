"""The contract of a stage-2 method, and what it receives from stage 1."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, TypeVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from lmd_bench.core.schema import OnEpoch, Progress
from lmd_bench.data.batches import ImageSet
from lmd_bench.data.views import View
from lmd_bench.methods.models.model import Model

# what val decides: an index of a grid, a number, or one for each class
Choice = TypeVar("Choice", int, float, list[float])


class Stage1:
    """A trained encoder with its head, its data, and features computed once when asked for.

    Attributes:
        model: encoder and stage-1 head on the trial's device; a calibration may change it.
        train_set, val_set: the two splits on the device.
        seed: of this trial's stage 2.
        on_epoch: takes the progress of each epoch.
        choices: what val has decided, by name; a refit, whose val is empty, starts with them.
    """

    def __init__(
        self,
        model: Model,
        sets: tuple[ImageSet, ImageSet],
        features: Callable[[], tuple[Tensor, Tensor]],
        *,
        seed: int,
        on_epoch: OnEpoch,
        choices: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep the parts; `features` returns those of train and val, from the encoder cache."""
        self.model = model
        self.train_set, self.val_set = sets
        self.seed = seed
        self.on_epoch = on_epoch
        self.choices: dict[str, Any] = dict(choices or {})
        self._features = features

    @cached_property
    def features(self) -> tuple[Float[Tensor, "train features"], Float[Tensor, "val features"]]:
        """Return the test-view features of train and val."""
        return self._features()

    def settled(self, name: str, choose: Callable[[], Choice]) -> Choice:
        """Return what val decides, and note it; in a refit, what was noted before.

        Args:
            name: of the decision, within its calibration.
            choose: looks at val; not called where the decision is known.
        """
        if name not in self.choices:
            self.choices[name] = choose()
        return self.choices[name]

    @property
    def n_classes(self) -> int:
        """Return K."""
        return len(self.model.head.get_parameter("weight"))

    @cached_property
    def class_counts(self) -> Int64[Tensor, " classes"]:
        """Return the training images of each class."""
        return torch.bincount(self.train_set.labels, minlength=self.n_classes)


@dataclass(frozen=True)
class Calibrated:
    """The final classifier, and how its training went (empty where nothing was trained).

    Attributes:
        model: encoder and final head.
        curve: one point for each epoch.
        drifts: for each epoch that moved the encoder, |F' - F| / |F| of the training features
            before (F) and after it.
    """

    model: Model
    curve: tuple[Progress, ...] = ()
    drifts: tuple[float, ...] = ()


class Calibration(ABC):
    """A way to turn a trained encoder into the final classifier.

    It sees train and val alone, so no calibration is transductive.
    """

    own_head: ClassVar[bool] = False  # keeps stage 1's own head, and the epoch best for that head
    takes_prior: ClassVar[bool] = False  # takes the log prior out of the logits
    moves_encoder: ClassVar[bool] = False  # trains the encoder on, so fixed features are not enough
    needs_linear_head: ClassVar[bool] = False  # works on the lengths of stage 1's class weights

    def __init__(self, config: Any) -> None:
        """Keep the plug-in's own frozen Config."""
        self.config = config

    @classmethod
    def n_swept(cls, config: Any) -> int:
        """Return how many settings it judges on val within one trial, to keep the best.

        One trial of such a method has looked at val as often as so many of another.
        """
        return 1

    @classmethod
    def views(cls, config: Any) -> Sequence[View]:
        """Return the views of train that it looks at beside the test view."""
        return ()

    @abstractmethod
    def fit(self, stage1: Stage1) -> Calibrated:
        """Return the final classifier; sees train and val alone."""
