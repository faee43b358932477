"""One line of the leaderboard: its fields, in their order, are the columns of CSV and JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import nan
from typing import Any

from lmd_bench.leaderboard.studies.scores import MetricSpread
from lmd_bench.stats.joint import Joint, joint, joint_columns
from lmd_bench.stats.metrics import METRICS, PRIMARY
from lmd_bench.stats.spread import Spread

SCORES = tuple(name for name, metric in METRICS.items() if metric.in_board)
_JOINT = f"test_{PRIMARY.name}_"  # before the columns of the joint interval
HEADLINES = tuple(name for name in SCORES if METRICS[name].headline)


@dataclass(frozen=True, kw_only=True)
class BoardLine:
    """A study that was searched and confirmed; scores are fractions.

    Each field is a column, but a field of scores is several for each of its metrics: `test` of
    macro-F1 is `test_macro_f1` and `test_macro_f1_sd`.
    """

    task: str  # as tables call it
    dataset: str
    protocol: str
    imbalance_factor: float | None
    image_size: int
    split_seed: int
    n_max: int | None
    task_fingerprint: str
    n_classes: int
    n_train: int  # images of train
    n_largest: int  # of its largest class
    chance: float
    method: str
    study: str
    label: str = ""  # the method; with the study where a method has several on its task
    n_epochs: int
    test: Mapping[str, Spread]  # each of `SCORES`, over the seeds that ended well
    joint: Joint  # balanced accuracy over test images and retrainings together
    n_seeds: int
    n_seeds_failed: int
    default_test: Mapping[str, Spread]  # each of `HEADLINES`, of the default configuration
    default_n_seeds: int
    default_n_seeds_failed: int
    default_was_selected: bool
    val_balanced_accuracy: float
    n_stage1_trials: int = 0  # of the search of stage 1 that it chose encoders among
    n_trials: int  # of its own
    n_trials_ok: int
    fewer_trials: bool = False  # both together, than the most of its task
    n_stage1_searched: int | None = None  # settings drawn in the search of stage 1; None: unknown
    n_searched: int | None = None  # in its own
    n_swept: int | None = None  # settings that each trial itself judged on val
    with_best: bool = False  # it leads its task, or is not told apart from what leads
    seconds: float  # of all runs
    standalone_seconds: float  # had every run trained its own stage 1, with the search of stage 1
    selected_key: str
    rule: str
    budget: str
    watermark: str
    asked: Mapping[str, MetricSpread]  # the metrics that were asked for
    repeat_of: str = ""  # equal for lines that repeat one search
    n_searches: int = 1  # that the line is the mean of, on each split
    n_splits: int = 1
    sd_over_searches: float = nan  # of balanced accuracy on test; NaN of one
    sd_over_splits: float = nan

    def cells(self) -> dict[str, Any]:
        """Return the value of each column by its name."""
        cells: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Joint):
                cells |= joint_columns(value, _JOINT)
                continue
            if field.name not in _ENDS:
                cells[field.name] = value
                continue
            for metric, score in value.items():
                cells |= zip(_score_columns(field.name, metric), _values(score), strict=True)
        return cells


def line_columns(asked: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the columns of a leaderboard for which some metrics were asked."""
    metrics = {"test": SCORES, "default_test": HEADLINES, "asked": asked}
    names: list[str] = []
    for field in fields(BoardLine):
        if field.name == "joint":
            names += joint_columns(joint((), None, ""), _JOINT)
        elif field.name in metrics:
            for metric in metrics[field.name]:
                names += _score_columns(field.name, metric)
        else:
            names.append(field.name)
    # a metric of the usual ones may be asked for too
    return tuple(dict.fromkeys(names))


_ENDS = {
    "test": ("", "_sd"),
    "default_test": ("", "_sd"),
    "asked": ("", "_sd", "_undefined"),
}


def _score_columns(field: str, metric: str) -> list[str]:
    prefix = "default_test" if field == "default_test" else "test"
    return [f"{prefix}_{metric}{end}" for end in _ENDS[field]]


def _values(score: Spread | MetricSpread) -> tuple[float | int, ...]:
    if isinstance(score, Spread):
        return score.mean, score.sd
    return score.spread.mean, score.spread.sd, score.n_undefined
