"""Keeps the best state seen on val; the one rule by which every stage picks its epoch."""

from typing import Literal

import numpy as np
from jaxtyping import Float, Int64
from torch import Tensor, nn

from lmd_bench.core.errors import DivergedError
from lmd_bench.core.schema import OnEpoch, Progress
from lmd_bench.stats.metrics import balanced_accuracy


class BestOnVal:
    """Records each epoch's val balanced accuracy and keeps the first best state of the modules."""

    def __init__(
        self,
        stage: str,
        n_epochs: int,
        labels: Int64[Tensor, " images"],
        report: OnEpoch,
        keep: Literal["best", "last"] = "best",
    ) -> None:
        """Start with nothing seen; `labels` are those of the val set.

        `keep="last"` keeps the last epoch instead, as published codes without selection do.
        """
        self.curve: list[Progress] = []
        self.best_epoch = 0
        self.best_value = -1.0
        self._stage = stage
        self._n_epochs = n_epochs
        self._keep = keep
        self._labels = labels.cpu().numpy()
        self._report = report
        self._state: list[dict[str, Tensor]] = []

    def update(
        self, epoch: int, loss: float, logits: Float[Tensor, "images classes"], *modules: nn.Module
    ) -> None:
        """Judge the modules after `epoch` (from 1) by their val logits, and report.

        Raises:
            DivergedError: the loss or the logits are not finite.
        """
        scores = logits.detach().float().cpu().numpy()
        if not (np.isfinite(loss) and np.isfinite(scores).all()):
            raise DivergedError(f"{self._stage} epoch {epoch}: loss {loss:.4g} is not usable")
        value = float(balanced_accuracy(self._labels, scores))
        if self._keep == "last" or value > self.best_value:
            self.best_epoch, self.best_value = epoch, value
            self._state = [_copy_state(module) for module in modules]
        progress = Progress(self._stage, epoch, self._n_epochs, loss, value)
        self.curve.append(progress)
        self._report(progress)

    def restore(self, *modules: nn.Module) -> None:
        """Put the best state back into the modules, in the order they were given."""
        for module, state in zip(modules, self._state, strict=True):
            module.load_state_dict(state)


def _copy_state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}
