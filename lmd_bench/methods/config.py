"""How an encoder is trained: the settings that every method shares, and how they are checked."""

from dataclasses import dataclass
from typing import Literal

Tune = Literal["full", "lora", "adapter", "frozen"]
Precision = Literal["auto", "float32", "bfloat16"]
ON_STORED: tuple[Tune, ...] = ("adapter", "frozen")  # trained on stored features, not on images


@dataclass(frozen=True)
class TrainingConfig:
    """How every encoder is trained, whatever the representation; ranges in training.yaml."""

    backbone: str = "resnet18"  # of any source of encoders; docs/encoders.md lists them
    pretrained: bool = False  # the weights that the source has for it
    weights: str = ""  # a file of the trunk's weights; in a config by its hash, "sha256:..."
    features: Literal["last", "penultimate", "both"] = "last"  # what heads and calibrations see
    # How much is trained: all of it, updates of low rank in a transformer, a small network on the
    # encoder's features, or a head alone.
    tune: Tune = "full"
    lora_rank: int = 8
    n_views: int = 4  # copies of each drawn view whose features an adapter is trained on
    # How the first layers see an image. "small": a 3x3 convolution of stride 1 and no pooling,
    # without which images below 96 px reach the last stage as a map of 1 or 4 places.
    stem: Literal["auto", "imagenet", "small"] = "auto"
    batch_size: int = 128
    optimiser: Literal["sgd", "adamw"] = "sgd"
    lr: float = 0.05  # at the default batch of 128; the default follows the batch in proportion
    head_lr_factor: float = 1.0  # of the lr, for all that stands on the encoder
    layer_decay: float = 1.0  # factor of the lr from a layer of the encoder to the one below it
    warmup_epochs: float = 0.0  # over which the lr rises linearly from 0
    momentum: float = 0.9  # of SGD; AdamW has its own
    weight_decay: float = 5.0e-4
    schedule: Literal["cosine", "constant"] = "cosine"
    # the view of the loss
    augmentation: Literal["strong", "weak", "randaugment", "simaugment"] = "strong"
    mixing: Literal["none", "mixup", "cutmix", "remix", "cmo"] = "none"  # of images and labels
    mixing_alpha: float = 1.0  # of the Beta distribution that the shares are drawn from
    mixing_probability: float = 1.0  # of a batch to be mixed
    remix_ratio: float = 3.0  # kappa: from which ratio of counts the rarer class takes the label
    remix_threshold: float = 0.5  # tau: below which share the more frequent class gives it up
    compile: bool = False  # the encoder's training through torch.compile, where it can run
    # Of the encoder; "auto" takes half precision on a GPU and float32 on a CPU, where bfloat16 is
    # faster for convolutions of many channels if the processor computes in it (AVX512-BF16),
    # and refused where it has no AVX-512 at all.
    precision: Precision = "auto"
    sam_rho: float = 0.0  # radius of sharpness-aware minimisation; 0: plain SGD
    # The epoch whose encoder a calibration stands on: the last, that of the best linear probe of
    # the features, or that of the best own head. The own head itself is always the best on val.
    keep: Literal["last", "probe", "best"] = "last"

    @property
    def on_stored(self) -> bool:
        """Say whether it is trained on stored features, not on images."""
        return self.tune in ON_STORED

    def __post_init__(self) -> None:
        """Refuse values that no training can run with."""
        require(self.batch_size >= 2, f"batch_size={self.batch_size} must be at least 2")
        require(self.n_views >= 1, f"n_views={self.n_views} must be at least 1")
        require(self.lora_rank >= 1, f"lora_rank={self.lora_rank} must be at least 1")
        require(self.lr > 0, f"lr={self.lr} must be above 0")
        factor, decay = self.head_lr_factor, self.layer_decay
        require(factor > 0, f"head_lr_factor={factor} must be above 0")
        require(0 < decay <= 1, f"layer_decay={decay} must lie in (0, 1]")
        require(self.warmup_epochs >= 0, f"warmup_epochs={self.warmup_epochs} must not be negative")
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


def require_sgd(lr: float, n_epochs: int, batch_size: int) -> None:
    """Raise ValueError unless SGD can train a head with these: for the checks of a Config."""
    require(lr > 0, f"lr={lr} must be above 0")
    require(n_epochs >= 1, f"n_epochs={n_epochs} must be at least 1")
    require(batch_size >= 1, f"batch_size={batch_size} must be at least 1")
