"""The data that flows between the parts: frozen dataclasses, and how they are hashed."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Int64

SCHEMA_VERSION = 1  # of the results folder; raised when a column changes its meaning
PIPELINE_VERSION = 2  # raised when shared training code changes results; part of every key

Scalar = str | int | float | bool
Config = Mapping[str, Scalar]  # "section.key" -> value, e.g. {"rrl.ema_decay": 0.999}
Phase = Literal["search", "confirm", "single", "transfer"]  # single: one trial by hand
OF_A_STUDY: tuple[Phase, ...] = ("search", "confirm")  # these rows make a study
JUDGED_ON_TEST: tuple[Phase, ...] = ("confirm", "transfer")  # runs of a config chosen before
Status = Literal["ok", "diverged", "oom", "error", "lost", "node_lost", "timeout", "pruned"]
RareClasses = Literal["refuse", "drop", "merge"]


@dataclass(frozen=True)
class DatasetCard:
    """What a person must know of a data set before using it."""

    name: str
    title: str
    class_names: tuple[str, ...]
    licence: str
    citation: str
    url: str
    how_to_get: str  # what to download and where to put it
    expected_counts: tuple[int, ...] | None = None  # images of each class when complete
    expected_images: int | None = None  # all of them, where the classes' counts are not known
    group: str | None = None  # what a group is ("lesion"), None where there is none
    splits: str | None = None  # published splits and how protocol `official` gets them
    downloads: bool = True  # False: drawn on the fly, needs no files


@dataclass(frozen=True)
class ImageTable:
    """One row per image. All arrays have length n_images and one order."""

    image_ids: tuple[str, ...]
    labels: Int64[np.ndarray, " images"]  # index into class_names
    groups: tuple[str, ...]  # lesion or patient; an image without one is its own group
    class_names: tuple[str, ...]
    splits: tuple[str, ...] | None = None  # "train", "val" or "test", where the data declare it

    def __len__(self) -> int:
        return len(self.image_ids)

    def take(self, rows: Int64[np.ndarray, " rows"]) -> "ImageTable":
        """Return the images in these rows, in their order."""
        return replace(
            self,
            image_ids=tuple(self.image_ids[row] for row in rows),
            labels=self.labels[rows],
            groups=tuple(self.groups[row] for row in rows),
            splits=None if self.splits is None else tuple(self.splits[row] for row in rows),
        )


@dataclass(frozen=True)
class TaskSpec:
    """What a person asks for: data set x protocol x imbalance factor x split seed x image size."""

    dataset: str
    protocol: str = "balanced"
    imbalance_factor: float | None = None  # n_max / n_min of train; None keeps what exists
    split_seed: int = 0
    image_size: int = 64  # pixels, square
    n_max: int | None = None  # images of the largest training class; None: all that exist


@dataclass(frozen=True)
class TableColumns:
    """The CSV of a data set without a file of its own (`folder`), and what its columns hold."""

    images_csv: Path
    image_column: str
    label_column: str
    group_column: str | None = None
    split_column: str | None = None


@dataclass(frozen=True)
class DataSource:
    """Where a data set is read from on this machine; the task's fingerprint says what was read."""

    root: Path | None = None  # folder of the raw files
    allow_missing: bool = False  # go on without the listed images that have no file
    split_dir: Path | None = None  # folder of published splits, for the protocol `official`
    columns: TableColumns | None = None  # for `folder` with a CSV
    rare_classes: RareClasses = "refuse"  # classes of too few images: leave them to the protocol
    rare_below: int = 8  # images; what protocol `balanced` needs of every class

    def to_payload(self) -> dict[str, Any]:
        """Return it as plain JSON-able data."""
        return json.loads(json.dumps(asdict(self), default=str))

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> "DataSource":
        """Return what `to_payload` wrote."""
        values = dict(payload)
        for name in ("root", "split_dir"):
            values[name] = None if values[name] is None else Path(values[name])
        if (columns := values["columns"]) is not None:
            values["columns"] = TableColumns(
                **columns | {"images_csv": Path(columns["images_csv"])}
            )
        return cls(**values)


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


@dataclass(frozen=True)
class TrialSpec:
    """Everything that shapes one trial. Equal specs give equal results on one kind of machine."""

    task: TaskSpec
    task_fingerprint: str
    method: str
    representation: str
    calibration: str
    config: Config  # complete: every key of training, representation and calibration
    seed: int
    n_epochs: int  # stage-1 epochs
    phase: Phase = "search"
    study: str = ""
    versions: Mapping[str, int] = field(default_factory=dict[str, int])  # plug-in -> version

    @property
    def key(self) -> str:
        """Return the content hash that names this trial's row."""
        return content_hash([PIPELINE_VERSION, asdict(self)])

    @property
    def stage1_config(self) -> Config:
        """Return the keys of the sections `training` and the representation."""
        sections = ("training.", f"{self.representation}.")
        return {key: value for key, value in self.config.items() if key.startswith(sections)}

    @property
    def encoder_key(self) -> str:
        """Return the content hash of everything that shapes the stage-1 model."""
        return content_hash(
            {
                "pipeline": PIPELINE_VERSION,
                "task": self.task_fingerprint,
                "representation": self.representation,
                "version": self.versions.get(self.representation, 0),
                "config": self.stage1_config,
                "seed": self.seed,
                "n_epochs": self.n_epochs,
            }
        )


@dataclass(frozen=True)
class TrialContext:
    """Where and how a trial runs, and what its row says of it; never part of its key."""

    results: Path
    source: DataSource = DataSource()
    device: str = "auto"  # "auto", "cpu" or "cuda"
    n_threads: int = 1
    gpu_share: float = 0.0  # share of one GPU that this trial holds
    trial_number: int = 0  # within its study
    is_default: bool = False  # the config is the method's default
    encoder_rank: int | None = None  # rank on val of the encoder it stands on, staged search only
    thresholds: tuple[tuple[int, float], ...] = ()  # (epoch, least score) of stage 1 to go on
    mirror: str = ""  # URL that the row is put to as well
    time_limit: float | None = None  # seconds; looked at after each epoch
    source_key: str = ""  # confirmation, transfer: the search row whose config this is
    command: str = ""  # the command line that asked for it


@dataclass(frozen=True)
class Progress:
    """What a trial reports after each epoch of either stage."""

    stage: str  # "representation" or "calibration"
    epoch: int  # from 1
    n_epochs: int
    loss: float
    val_balanced_accuracy: float


def require(condition: bool, sentence: str) -> None:
    """Raise ValueError with `sentence` unless `condition` holds: for the checks of a Config."""
    if not condition:
        raise ValueError(sentence)


def canonical_json(data: Any) -> str:
    """Return the one JSON text of `data`: sorted keys, floats by repr, no NaN."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)


def content_hash(data: Any) -> str:
    """Return 20 hex digits of the SHA-256 of `data`'s canonical JSON."""
    return hashlib.sha256(canonical_json(data).encode()).hexdigest()[:20]
