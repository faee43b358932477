"""tau-normalisation: the classifier's weights are brought towards one length, without a bias.

    z_j = w_j f / |w_j|^tau

tau is chosen on val by balanced accuracy over a grid, all of it at once; of equals, the smallest.

Paper: Kang et al., Decoupling Representation and Classifier for Long-Tailed Recognition, ICLR 2020,
section 4.3.
URL: https://arxiv.org/abs/1910.09217

Code it was compared with: https://github.com/facebookresearch/classifier-balancing, commit
f162adef63 (tau_norm.py). A test asserts equal weights and decisions over its whole grid.

What differs: nothing; as there, the bias is dropped. On a cosine head, where lengths mean
nothing, tau = 1 is that head on features of their own length.
Defaults: tau 0 to 2 in steps of .1: that code. It judges that many settings on val within one
trial.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lmd_bench.methods.calibration._base import Calibrated, Calibration, Stage1
from lmd_bench.methods.calibration._grid import best_by_balanced_accuracy
from lmd_bench.methods.config import require

VERSION = 1


@dataclass(frozen=True)
class Config:
    """The grid of tau."""

    tau_max: float = 2.0
    tau_steps: int = 21

    def __post_init__(self) -> None:
        """Refuse an empty grid."""
        require(self.tau_max >= 0, f"tau_max={self.tau_max} must not be negative")
        require(self.tau_steps >= 1, f"tau_steps={self.tau_steps} must be at least 1")


def normalised_weights(
    weight: Float[Tensor, "classes features"], taus: Float[Tensor, " taus"]
) -> Float[Tensor, "taus classes features"]:
    """Return w_j / |w_j|^tau for each tau."""
    norms = weight.norm(dim=1).clamp_min(1e-12)
    return weight / norms.pow(taus[:, None])[:, :, None]


class TauNorm(Calibration):
    """Replaces the head by its tau-normalised weights."""

    @classmethod
    def n_swept(cls, config: Config) -> int:
        """Return the taus of the grid."""
        return config.tau_steps

    needs_linear_head: ClassVar[bool] = True

    def fit(self, stage1: Stage1) -> Calibrated:
        """Choose tau on val and return the normalised classifier."""
        config: Config = self.config
        _, val_features = stage1.features
        with torch.no_grad():
            weight = stage1.model.head.get_parameter("weight")
            taus = torch.linspace(0.0, config.tau_max, config.tau_steps, device=weight.device)
            weights = normalised_weights(weight, taus)
            logits = torch.einsum("nc,tkc->tnk", val_features, weights)
            at = stage1.settled(
                "tau", lambda: best_by_balanced_accuracy(logits, stage1.val_set.labels)
            )
            chosen = weights[at]
            head = nn.Linear(chosen.shape[1], chosen.shape[0], bias=False, device=chosen.device)
            head.weight.copy_(chosen)
        stage1.model.head = head
        return Calibrated(stage1.model)
