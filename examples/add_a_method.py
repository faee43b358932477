"""A method of one's own: one file and its ranges in a folder, no change of the package.

Run it anywhere: `python examples/add_a_method.py [FOLDER]`. docs/own-method.md says what else a
method may have; `lmd-bench new` writes one to begin with.
"""

import sys
from pathlib import Path

import lmd_bench as lb

NAME = "nearest_median"

METHOD = '''"""Nearest class median: the class whose median feature is nearest.

    z_j = 2 f . m_j - |m_j|^2,   m_j = (1 - s) median of class j + s median of all classes

z_j is -|f - m_j|^2 without |f|^2, which is the same for all classes: so the head is linear. A
median moves less than a mean when a few features lie far out.

Paper: an example; see nearest class mean, Kang et al., ICLR 2020.
URL: https://arxiv.org/abs/1910.09217

Default: s = .1, a guess.
"""

from dataclasses import dataclass

import torch
from torch import nn

from lmd_bench.methods.calibration import Calibrated, Calibration, Stage1

VERSION = 1


@dataclass(frozen=True)
class Config:
    """How far class medians are drawn to the median of all."""

    shrinkage: float = 0.1


class NearestMedian(Calibration):
    """Replaces the head by the class medians."""

    def fit(self, stage1: Stage1) -> Calibrated:
        """Return the encoder with the nearest-median classifier."""
        config: Config = self.config
        features, _ = stage1.features
        labels = stage1.train_set.labels
        medians = torch.stack(
            [features[labels == j].median(dim=0).values for j in range(stage1.n_classes)]
        )
        medians = medians + config.shrinkage * (medians.median(dim=0).values - medians)
        head = nn.Linear(features.shape[1], stage1.n_classes, device=features.device)
        with torch.no_grad():
            head.weight.copy_(2 * medians)
            head.bias.copy_(-medians.square().sum(dim=1))
        stage1.model.head = head
        return Calibrated(stage1.model)
'''

SEARCH_SPACE = "shrinkage: {type: float, low: 0.0, high: 0.9}\n"


def main(folder: Path) -> None:
    """Write the two files, and train the method on drawn images."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}.py").write_text(METHOD)
    (folder / f"{NAME}.yaml").write_text(SEARCH_SPACE)
    lb.add_plugins([folder / f"{NAME}.py"])
    row = lb.train_trial(
        "synthetic",
        f"cross_entropy+{NAME}",
        imbalance_factor=50,
        n_max=200,
        image_size=16,
        epochs=2,
        results="results/runs/added",
    )
    print(f"{row['method']}: balanced accuracy on val {row['val_balanced_accuracy']:.1%}")


if __name__ == "__main__":
    main(Path(*sys.argv[1:] or ["my_methods"]))
