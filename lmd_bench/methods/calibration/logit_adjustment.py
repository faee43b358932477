"""Post-hoc logit adjustment: the log prior is taken from the logits of a trained classifier.

    argmax_j  z_j - tau log pi_j,   pi_j = n_j / N

tau is chosen on val by balanced accuracy over a grid; where several are equally good, the one
nearest to 1, for which the rule is consistent for the balanced error.

Paper: Menon et al., Long-Tail Learning via Logit Adjustment, ICLR 2021, Eq. 9.
URL: https://arxiv.org/abs/2007.07314

Code it was compared with: https://github.com/google-research/google-research, folder
logit_adjustment, commit 1d4d2f1aa6. A test asserts equal adjusted logits and decisions at six tau.

What differs: they take log(pi^tau + 1e-12), the same to 1e-7 of the logits. The paper fixes tau = 1
or tunes it per data set; here val decides, never test.
The grid 0 to 3 is the range in which their Figure 3 moves. It judges that many settings on val
within one trial.
"""

import copy
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from lmd_bench.methods.calibration._base import Calibrated, Calibration, Stage1
from lmd_bench.stats.metrics import balanced_accuracy

VERSION = 1


@dataclass(frozen=True)
class Config:
    """The grid of tau."""

    tau_max: float = 3.0
    tau_steps: int = 61  # a step of 0.05

    def __post_init__(self) -> None:
        """Refuse an empty grid."""
        if self.tau_max < 0 or self.tau_steps < 1:
            raise ValueError(f"tau_max={self.tau_max}, tau_steps={self.tau_steps} give no grid")


def adjusted_logits(
    logits: Float[Tensor, "images classes"], log_prior: Float[Tensor, " classes"], tau: float
) -> Float[Tensor, "images classes"]:
    """Return z - tau log pi (Eq. 9)."""
    return logits - tau * log_prior


def best_tau(
    logits: Float[Tensor, "images classes"],
    labels: Int64[Tensor, " images"],
    log_prior: Float[Tensor, " classes"],
    grid: Float[Tensor, " taus"],
) -> float:
    """Return the tau of the grid with the best balanced accuracy; of equals, the nearest to 1."""
    # All is copied once: a copy for each tau would wait for the GPU each time.
    targets, logits, log_prior = labels.cpu().numpy(), logits.cpu(), log_prior.cpu()

    def merit(tau: float) -> tuple[float, float]:
        scores = adjusted_logits(logits, log_prior, tau).numpy()
        return float(balanced_accuracy(targets, scores)), -abs(tau - 1.0)

    return max(grid.tolist(), key=merit)


class LogitAdjustment(Calibration):
    """Folds -tau log pi into the bias of the stage-1 head."""

    @classmethod
    def n_swept(cls, config: Config) -> int:
        """Return the taus of the grid."""
        return config.tau_steps

    takes_prior: ClassVar[bool] = True

    def fit(self, stage1: Stage1) -> Calibrated:
        """Choose tau on val and return the adjusted classifier."""
        config: Config = self.config
        _, val_features = stage1.features
        prior = stage1.class_counts / stage1.class_counts.sum()
        head = copy.deepcopy(stage1.model.head)
        with torch.no_grad():
            logits = head(val_features)
            grid = torch.linspace(0.0, config.tau_max, config.tau_steps)
            tau = stage1.settled(
                "tau", lambda: best_tau(logits, stage1.val_set.labels, prior.log(), grid)
            )
            bias = head.bias  # a buffer of a cosine head
            assert isinstance(bias, torch.Tensor)
            bias.sub_(tau * prior.log())
        stage1.model.head = head
        return Calibrated(stage1.model)
