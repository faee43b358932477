"""The data that flows between the parts: frozen dataclasses, and how they are hashed."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypedDict

SCHEMA_VERSION = 1  # of the results folder; raised when a column changes its meaning
PIPELINE_VERSION = 3  # raised when shared training code changes results; part of every key

Scalar = str | int | float | bool
Config = Mapping[str, Scalar]  # "section.key" -> value, e.g. {"rrl.ema_decay": 0.999}
Row = Mapping[str, Any]  # a TrialRow, or a view of some of its columns
# single: one trial by hand; external, corrupted: a run's model on other images, without training
Phase = Literal["search", "race", "confirm", "single", "transfer", "external", "corrupted"]
NO_CALIBRATION = "none"  # the stage 2 that keeps stage 1's own head, so stage 1 is the whole method
OF_A_STUDY: tuple[Phase, ...] = ("search", "race", "confirm")  # these rows make a study
JUDGED_ON_TEST: tuple[Phase, ...] = ("confirm", "transfer")  # runs of a config chosen before
# What gave the config of a search trial: the method, a person or a warm start, earlier results, a
# draw near the default, or the sampler.
ProposedBy = Literal["default", "point", "portfolio", "prior", "sampler"]
Status = Literal["ok", "diverged", "oom", "error", "lost", "node_lost", "timeout", "pruned"]
RareClasses = Literal["refuse", "drop", "merge"]
# Settings that came after the first keys, each at the value under which everything is as it was
# before. A key and a row leave out those that have it, so that old rows keep their keys.
ADDED_SETTINGS: Config = {
    "training.features": "last",
    "training.tune": "full",
    "training.n_views": 4,
    "training.lora_rank": 8,
    "training.weights": "",
    "training.layer_decay": 1.0,
    "training.head_lr_factor": 1.0,
    "training.compile": False,
    "training.precision": "auto",
}
MOST_FOLDS = 10
FOLDS = {f"folds_{n}": n for n in range(2, MOST_FOLDS + 1)}  # protocol -> folds of the data
# Protocols whose val and test hold unequal numbers of images of each class that say nothing of how
# frequent classes are: what depends on that (NLL, ECE, AUPRC, ...) is computed as if all were
# equally frequent.
EQUAL_PRIOR = frozenset({"balanced_v2", "no_val", *FOLDS})
TASK_COLUMNS = (
    *("dataset", "protocol", "imbalance_factor", "image_size"),
    *("split_seed", "n_max", "task_fingerprint"),
)
# What a method stood on, from its config: rows that differ here are never ranked together.
ENCODER_COLUMNS = ("encoder", "encoder_start", "features", "tune")


@dataclass(frozen=True)
class TaskSpec:
    """What a person asks for: data set x protocol x imbalance factor x split seed x image size."""

    dataset: str
    protocol: str = "balanced"  # as rows call it: the first version of `balanced`
    imbalance_factor: float | None = None  # n_max / n_min of train; None keeps what exists
    split_seed: int = 0
    image_size: int = 64  # pixels, square
    n_max: int | None = None  # images of the largest training class; None: all that exist


MISSING_VALUES = ("nan", "na", "n/a", "none", "null")


@dataclass(frozen=True)
class TableColumns:
    """The CSV of a data set without a file of its own (`folder`), and what its columns hold."""

    images_csv: Path | None  # None: the columns are fields in archives of images
    image_column: str = ""  # "": known by its usual name
    label_column: str = ""
    group_column: str | None = None
    split_column: str | None = None
    missing_values: tuple[str, ...] = MISSING_VALUES  # no patient and no class, in any case


@dataclass(frozen=True)
class DataSource:
    """Where a data set is read from on this machine; the task's fingerprint says what was read."""

    root: Path | None = None  # folder of the raw files
    allow_missing: bool = False  # go on without the listed images that have no file
    split_dir: Path | None = None  # folder of published splits, for the protocol `official`
    columns: TableColumns | None = None  # for `folder` with a CSV, and for archives
    rare_classes: RareClasses = "refuse"  # classes of too few images: leave them to the protocol
    rare_below: int = 8  # images; what protocol `balanced` needs of every class
    hold_out_test: float | None = None  # share of train for a published split that has no test
    intensity: str = "full"  # how values become grey levels: "full", "auto", "window:LOW,HIGH"

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
            # Stored by an earlier version without the words.
            words = columns.get("missing_values", MISSING_VALUES)
            csv = columns["images_csv"] and Path(columns["images_csv"])
            values["columns"] = TableColumns(
                **columns | {"images_csv": csv, "missing_values": tuple(words)}
            )
        return cls(**values)


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
    # plug-in -> version; of one from outside the package a text, with the hash of its source
    versions: Mapping[str, int | str] = field(default_factory=dict[str, int | str])

    @property
    def key(self) -> str:
        """Return the content hash that names this trial's row."""
        return self.key_under(PIPELINE_VERSION)

    def key_under(self, pipeline: int) -> str:
        """Return the key of this trial's row if that version of the pipeline makes it."""
        return content_hash([pipeline, asdict(self) | {"config": keyed(self.config)}])

    @property
    def stage1_config(self) -> Config:
        """Return the keys of the sections `training` and the representation."""
        sections = ("training.", f"{self.representation}.")
        return {key: value for key, value in self.config.items() if key.startswith(sections)}

    @property
    def encoder_key(self) -> str:
        """Return the content hash of everything that shapes the stage-1 model."""
        stages = (self.representation, self.calibration)
        # An encoder of a person's own has a version; others are left out, as they always were.
        own = {name: of for name, of in self.versions.items() if name not in stages}
        return content_hash(
            {
                **({"encoder": own} if own else {}),
                "pipeline": PIPELINE_VERSION,
                "task": self.task_fingerprint,
                "representation": self.representation,
                "version": self.versions.get(self.representation, 0),
                "config": keyed(self.stage1_config),
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
    repeat_of: str = ""  # hash of all that makes the study, but its seed and its split seed
    is_default: bool = False  # the config is the method's default
    proposed_by: ProposedBy | None = None  # of a search trial
    encoder_rank: int | None = None  # rank on val of the encoder it stands on, staged search only
    n_stage1_trials: int | None = None  # whose encoders its study chose among, staged search only
    n_searched: int | None = None  # settings that its study draws
    factor_range: str = ""  # of a study that draws the imbalance factor of each trial, "10:200"
    thresholds: tuple[tuple[int, float], ...] = ()  # (epoch, least score) of stage 1 to go on
    judged_from: int = 1  # epoch of stage 1; a score from before it counts for no threshold
    mirror: str = ""  # URL that the row is put to as well
    time_limit: float | None = None  # seconds; looked at after each epoch
    deterministic: bool = False  # a GPU computes with kernels that give the same bits each time
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


OnEpoch = Callable[[Progress], None]  # is told of each epoch while a trial runs


class CurvePoint(TypedDict):
    """One epoch as a row keeps it."""

    stage: str
    epoch: int
    loss: float
    val_balanced_accuracy: float


class TrialRow(TypedDict):
    """One row of the results, all of its columns; docs/results-folder.md says what each means."""

    key: str
    schema_version: int
    status: Status
    cause: str
    phase: Phase
    study: str
    repeat_of: str | None
    trial_number: int
    is_default: bool
    proposed_by: ProposedBy | None
    source_key: str
    method: str
    representation: str
    calibration: str
    versions_json: str
    dataset: str
    protocol: str
    imbalance_factor: float | None
    split_seed: int
    image_size: int
    n_max: int | None
    task_fingerprint: str
    class_names: list[str]
    class_counts: list[int]
    groups: list[str]
    n_train: int | None
    n_val: int | None
    n_test: int | None
    config_json: str
    encoder: str | None
    encoder_start: str | None
    encoder_weights: str | None
    encoder_seen: str | None
    features: str | None
    tune: str | None
    encoder_key: str
    encoder_rank: int | None
    n_stage1_trials: int | None
    n_searched: int | None
    factor_range: str | None
    n_swept: int | None
    seed: int
    n_epochs: int
    fidelity: int | None
    n_micro_batches: int | None
    n_parts: int | None
    recomputed: bool | None
    compiled: bool | None
    best_epoch: int | None
    full_objective_share: float | None
    probe_val_balanced_accuracy: float | None
    curve: list[CurvePoint]
    feature_drift: list[float] | None
    val_balanced_accuracy: float | None
    val_macro_f1: float | None
    val_accuracy: float | None
    val_many_recall: float | None
    val_medium_recall: float | None
    val_few_recall: float | None
    val_recall: list[float] | None
    val_counts: list[int] | None
    test_balanced_accuracy: float | None
    test_macro_f1: float | None
    test_accuracy: float | None
    test_many_recall: float | None
    test_medium_recall: float | None
    test_few_recall: float | None
    test_recall: list[float] | None
    test_counts: list[int] | None
    val_nll: float | None
    val_brier: float | None
    val_ece: float | None
    test_nll: float | None
    test_brier: float | None
    test_ece: float | None
    test_worst_class_recall: float | None
    test_mcc: float | None
    test_kappa: float | None
    test_macro_auc: float | None
    test_macro_auprc: float | None
    test_classwise_ece: float | None
    temperature: float | None
    test_scaled_nll: float | None
    test_scaled_brier: float | None
    test_scaled_ece: float | None
    corruption: str | None
    strength: int | None
    seconds: float
    standalone_seconds: float
    device: str
    host: str | None
    gpu_uuid: str | None
    precision: str | None
    cuda_version: str | None
    driver_version: str | None
    gpu_share: float
    n_threads: int
    peak_memory_mib: float | None
    energy_joules: float | None
    co2_grams: float | None
    started_at: str
    finished_at: str
    command: str
    package_version: str
    git_commit: str | None
    python_version: str
    library_versions_json: str


def keyed(config: Config) -> dict[str, Scalar]:
    """Return what a key or a row says of a config: all but added settings that change nothing."""
    return {key: value for key, value in config.items() if ADDED_SETTINGS.get(key) != value}


def complete(config: Config) -> dict[str, Scalar]:
    """Return a config that `keyed` made, or that is older than a setting, with all its settings."""
    sections = {key.partition(".")[0] for key in config}
    added = {k: v for k, v in ADDED_SETTINGS.items() if k.partition(".")[0] in sections}
    return {**added, **config}


def canonical_json(data: Any) -> str:
    """Return the one JSON text of `data`: sorted keys, floats by repr, no NaN."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)


def content_hash(data: Any) -> str:
    """Return 20 hex digits of the SHA-256 of `data`'s canonical JSON."""
    return hashlib.sha256(canonical_json(data).encode()).hexdigest()[:20]


def salted_hash(salt: str, text: str, digits: int = 20) -> str:
    """Return hex digits of the SHA-256 of a text that only who knows the salt can guess."""
    return hashlib.sha256(f"{salt}:{text}".encode()).hexdigest()[:digits]


def no_report(progress: Progress) -> None:
    """Report to nobody."""
