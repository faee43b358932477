"""TODO."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TrainingConfig:
    """How every encoder is trained, whatever the representation; ranges in training.yaml."""

    backbone: Literal["resnet18", "resnet34", "resnet50"] = "resnet18"
    pretrained: bool = False  # ImageNet weights of torchvision
    batch_size: int = 128
    lr: float = 0.05  # SGD with momentum
    momentum: float = 0.9
    weight_decay: float = 5.0e-4
    schedule: Literal["cosine", "constant"] = "cosine"
    augmentation: Literal["strong", "weak", "randaugment"] = "strong"  # the view of the loss
    mixing: Literal["none", "mixup", "cutmix", "remix", "cmo"] = "none"  # of images and labels
    mixing_alpha: float = 1.0  # of the Beta distribution that the shares are drawn from
    mixing_probability: float = 1.0  # of a batch to be mixed
    remix_ratio: float = 3.0  # kappa: from which ratio of counts the rarer class takes the label
    remix_threshold: float = 0.5  # tau: below which share the more frequent class gives it up
    sam_rho: float = 0.0  # radius of sharpness-aware minimisation; 0: plain SGD
    keep: Literal["best", "last"] = "best"  # which epoch: the best on val, or the last

    def __post_init__(self) -> None:
        """Refuse values that no training can run with."""
        require(self.batch_size >= 2, f"batch_size={self.batch_size} must be at least 2")
        require(self.lr > 0, f"lr={self.lr} must be above 0")
        require(0 <= self.momentum < 1, f"momentum={self.momentum} must lie in [0, 1)")
        require(self.weight_decay >= 0, f"weight_decay={self.weight_decay} must not be negative")
        require(self.mixing_alpha > 0, f"mixing_alpha={self.mixing_alpha} must be above 0")
        chance = self.mixing_probability
        require(0 < chance <= 1, f"mixing_probability={chance} must lie in (0, 1]")
        require(self.remix_ratio >= 1, f"remix_ratio={self.remix_ratio} must be at least 1")
        tau = self.remix_threshold
        require(0 <= tau <= 1, f"remix_threshold={tau} must lie in [0, 1]")
        require(self.sam_rho >= 0, f"sam_rho={self.sam_rho} must not be negative")


def require(condition: bool, sentence: str) -> None:
    """Raise ValueError with `sentence` unless `condition` holds: for the checks of a Config."""
    if not condition:
        raise ValueError(sentence)
