"""Nearest class mean (NCM): the class whose mean feature is nearest.

    z_j = - |g(f) - g(mu_j)|^2   or   cos(g(f), g(mu_j))

g is nothing (`raw`), L2-normalisation (`l2`), or centring by the mean training feature and then
L2-normalisation (`centred_l2`). mu_j is the mean of the class's transformed features.

Paper: Kang et al., Decoupling Representation and Classifier for Long-Tailed Recognition, ICLR 2020,
section 4.2; centring: Wang et al., SimpleShot, 2019, https://arxiv.org/abs/1911.04623.
URL: https://arxiv.org/abs/1910.09217

Code it was compared with: https://github.com/facebookresearch/classifier-balancing, commit
f162adef63 (get_knncentroids, KNNClassifier). A test asserts equal class means and squared distances
for each g, and that their cosine form is ours times |mu_j| |g(f)| / C.

What differs: `cosine` is the cosine; theirs is g(f) mu_j / C, where a class whose features all
point one way has the longer mean and wins more often. The stage-1 head is not used.
Defaults: centred_l2 and squared distance: that code's `cl2n` and `l2`.
"""

from dataclasses import dataclass
from typing import Literal

import torch

from lmd_bench.methods.calibration._base import Calibrated, Calibration, Stage1
from lmd_bench.methods.models.heads import Centring, MeansHead, class_means

VERSION = 1


@dataclass(frozen=True)
class Config:
    """How features are compared."""

    features: Centring = "centred_l2"
    distance: Literal["squared", "cosine"] = "squared"


class Ncm(Calibration):
    """Replaces the head by the class means."""

    def fit(self, stage1: Stage1) -> Calibrated:
        """Return the encoder with the nearest-class-mean classifier."""
        config: Config = self.config
        features, _ = stage1.features
        with torch.no_grad():
            head = MeansHead(features.shape[1], stage1.n_classes, config.features, config.distance)
            head.to(features.device).mean.copy_(features.mean(dim=0))
            head.means.copy_(class_means(head.transform(features), stage1.train_set.labels))
        stage1.model.head = head
        return Calibrated(stage1.model)
