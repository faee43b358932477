"""Our functions against numbers that the authors' own code gives on the same inputs."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FLOAT64 = 1e-9  # of the largest entry: the same equation in the same order


def arrays(case: str) -> dict[str, Tensor]:
    """Return the arrays of a case, text left out."""
    with np.load(Path(__file__).with_name(f"{case}.npz")) as stored:
        return {
            name: torch.from_numpy(stored[name])
            for name in stored.files
            if stored[name].dtype.kind != "U"
        }


def assert_close(ours: Tensor, theirs: Tensor, tolerance: float = FLOAT64) -> None:
    """Check that no entry differs by more than `tolerance` of the largest entry of theirs."""
    assert ours.shape == theirs.shape
    assert (ours.detach() - theirs).abs().max() <= tolerance * theirs.abs().max()
