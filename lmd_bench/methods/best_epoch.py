"""Which epoch of a training is kept: of those that may be kept, the one that is best on val.

No epoch before a method's own deferral point is ever kept: until then the training was another
method's. Of equal epochs the later one is kept, since more of the method is in it.
"""

from math import ceil
from typing import Literal

import numpy as np
from jaxtyping import Float, Int64
from torch import Tensor, nn

from lmd_bench.core.errors import DivergedError
from lmd_bench.core.schema import OnEpoch, Progress
from lmd_bench.stats.metrics import balanced_accuracy


def first_judged(deferral: float, n_epochs: int, n_steps: int | None = None) -> int:
    """Return the first epoch, from 1, that says something of a run's end.

    Args:
        deferral: share of training after which the method's full objective acts.
        n_epochs: of the training.
        n_steps: of an epoch, where they are known: an objective that begins between the last step
            of an epoch and the next has no step in it.
    """
    done = deferral * n_epochs
    if n_steps is not None:
        done = ceil(done * n_steps - 1e-9) / n_steps
    return min(int(done + 1e-9) + 1, n_epochs)


def full_objective_share(deferral: float, epoch: int, n_epochs: int) -> float:
    """Return the share of the steps up to the end of `epoch` under the method's full objective.

    Args:
        deferral: share of training after which the method's full objective acts.
        epoch: the kept one, from 1.
        n_epochs: of the training.
    """
    return max(0.0, 1.0 - deferral * n_epochs / epoch)


class KeptState:
    """A copy of some modules as they were at the epoch of the highest score."""

    def __init__(self) -> None:
        """Start with nothing kept."""
        self.epoch = 0
        self.score = -np.inf
        self._states: list[dict[str, Tensor]] = []

    def offer(self, epoch: int, score: float, *modules: nn.Module) -> None:
        """Copy the modules unless an earlier epoch had a higher score."""
        if score >= self.score:
            self.epoch, self.score = epoch, score
            self._states = [_copy_state(module) for module in modules]

    def restore(self, *modules: nn.Module) -> None:
        """Put the kept state back into the modules, in the order they were given."""
        for module, state in zip(modules, self._states, strict=True):
            module.load_state_dict(state)


class BestOnVal:
    """Records each epoch's val balanced accuracy and keeps the best state of the modules."""

    def __init__(
        self,
        stage: str,
        n_epochs: int,
        labels: Int64[Tensor, " images"],
        on_epoch: OnEpoch,
        first: int = 1,
        keep: Literal["best", "last"] = "best",
    ) -> None:
        """Start with nothing seen.

        Args:
            stage: as the curve calls it.
            n_epochs: of the training.
            labels: of the val set.
            on_epoch: is told of each epoch.
            first: epoch, from 1, before which none is kept.
            keep: the last epoch in place of the best, as published codes without selection do.
        """
        self.curve: list[Progress] = []
        self._kept = KeptState()
        self._stage = stage
        self._n_epochs = n_epochs
        self._first = n_epochs if keep == "last" else first
        self._labels = labels.cpu().numpy()
        self._on_epoch = on_epoch

    @property
    def best_epoch(self) -> int:
        """Return the kept epoch, from 1."""
        return self._kept.epoch

    @property
    def best_value(self) -> float:
        """Return the val balanced accuracy of the kept epoch."""
        return self._kept.score

    def update(
        self, epoch: int, loss: float, logits: Float[Tensor, "images classes"], *modules: nn.Module
    ) -> None:
        """Judge the modules after `epoch` (from 1) by their val logits, and tell of it.

        Raises:
            DivergedError: the loss or the logits are not finite.
        """
        scores = logits.detach().float().cpu().numpy()
        if not (np.isfinite(loss) and np.isfinite(scores).all()):
            raise DivergedError(f"{self._stage} epoch {epoch}: loss {loss:.4g} is not usable")
        judged = len(self._labels) > 0
        value = float(balanced_accuracy(self._labels, scores)) if judged else float("nan")
        if epoch >= self._first:
            # Without val, as in a refit, epochs are as good as each other, so the last one is kept.
            self._kept.offer(epoch, value if judged else 0.0, *modules)
        progress = Progress(self._stage, epoch, self._n_epochs, loss, value)
        self.curve.append(progress)
        self._on_epoch(progress)

    def restore(self, *modules: nn.Module) -> None:
        """Put the best state back into the modules, in the order they were given."""
        self._kept.restore(*modules)


def _copy_state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}
