"""Stage-1 methods of several experts: one encoder, but a last stage and a cosine head for each."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from jaxtyping import Float, Int64
from torch import Tensor, nn

from lmd_bench.data.views import Views
from lmd_bench.methods.models.branches import BranchedEncoder
from lmd_bench.methods.models.fixed import AnyEncoder
from lmd_bench.methods.models.heads import ExpertsHead
from lmd_bench.methods.representation._base import Representation, Targets

EachLogits = Float[Tensor, "experts batch classes"]


def n_experts(config: Any) -> int:
    """Return E: three where the config does not say."""
    return getattr(config, "n_experts", 3)


class Experts(Representation):
    """One view, one loss of all experts' logits; `config` has `scale`, and `n_experts` or three."""

    cost: ClassVar[float] = 1.5  # the last stage, three times
    cosine_head: ClassVar[bool] = True

    @staticmethod
    def make_encoder(config: Any, encoder: AnyEncoder) -> nn.Module:
        """Return the encoder with one last stage for each expert."""
        return BranchedEncoder(encoder, n_experts(config), "stage")

    @staticmethod
    def make_head(config: Any, n_features: int, n_classes: int) -> nn.Module:
        """Return one cosine head for each expert."""
        return ExpertsHead(n_features, n_classes, config.scale, n_experts(config))

    def loss(
        self,
        views: Sequence[Views],
        targets: Targets,
        step: int,
    ) -> Float[Tensor, ""]:
        """Return the criterion of the student view."""
        features, _ = self.model(views[0])
        head = self.model.head
        assert isinstance(head, ExpertsHead)
        each = head.each(features)
        return targets.loss(lambda labels: self.criterion(each, labels, step))

    @abstractmethod
    def criterion(
        self, each: EachLogits, labels: Int64[Tensor, " batch"], step: int
    ) -> Float[Tensor, ""]:
        """Return the loss of a batch from the float32 logits of each expert."""
