"""No calibration: the head that stage 1 trained is the final one.

Paper: the end-to-end ("joint") row of Kang et al., Decoupling Representation and Classifier for
Long-Tailed Recognition, ICLR 2020.
URL: https://arxiv.org/abs/1910.09217
"""

from dataclasses import dataclass
from typing import ClassVar

from lmd_bench.methods.calibration._base import Calibrated, Calibration, Stage1

VERSION = 1


@dataclass(frozen=True)
class Config:
    """Nothing to set."""


class NoCalibration(Calibration):
    """Returns the stage-1 model as it is."""

    own_head: ClassVar[bool] = True

    def fit(self, stage1: Stage1) -> Calibrated:
        """Return the model unchanged."""
        return Calibrated(stage1.model)
