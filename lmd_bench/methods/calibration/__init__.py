"""Stage 2: one file per method that turns a trained encoder into the final classifier."""

from lmd_bench.methods.calibration._base import Calibrated, Calibration, Stage1

__all__ = ["Calibrated", "Calibration", "Stage1"]
