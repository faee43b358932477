"""The test logits of the confirmed runs of one study, pooled over its retraining seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int64

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import Row
from lmd_bench.leaderboard.studies.group import StudyRows
from lmd_bench.leaderboard.studies.rules import SelectionRule
from lmd_bench.report.drawing.reliability import Bin
from lmd_bench.stats.probabilities import (
    calibration_error_by_chance,
    expected_calibration_error,
    log_probabilities,
)
from lmd_bench.store.from_logits import weights_of
from lmd_bench.store.store import SplitLogits, Store

N_BINS = 15  # of confidence, as for ECE
FEWEST = 5  # images of a bin in each run; with fewer its accuracy says next to nothing


@dataclass(frozen=True, eq=False)
class Confirmed:
    """The confirmed runs of the configuration that a rule selects."""

    study: StudyRows
    selected: Row
    runs: tuple[Row, ...]  # that ended well, by seed
    judged: tuple[SplitLogits, ...]  # of test, for the runs that kept theirs
    missing: str  # why some logits are not there; empty where all are

    @property
    def class_names(self) -> list[str]:
        """Return the names of the classes."""
        return list(self.selected["class_names"])

    @cached_property
    def n_images(self) -> Int64[np.ndarray, " classes"] | None:
        """Return the test images of each class; None without logits, as rows do not say."""
        if not self.judged:
            return None
        labels = self.judged[0][1]
        return np.bincount(labels, minlength=len(self.class_names)).astype(np.int64)

    def recall(self) -> Float[np.ndarray, " classes"]:
        """Return the recall of each class, mean over seeds; NaN where a class has no image."""
        empty = [np.nan] * len(self.class_names)
        known = [row["test_recall"] or empty for row in self.runs]
        values = [[np.nan if v is None else v for v in recall] for recall in known]
        return np.array(values, dtype=np.float64).mean(axis=0)

    def confusion(self) -> Int64[np.ndarray, "classes classes"]:
        """Return how often each true class (row) was predicted as each (column), over all runs."""
        n_classes = len(self.class_names)
        cells = np.concatenate(
            [labels * n_classes + logits.argmax(axis=1) for _, labels, logits in self.judged]
        )
        counts = np.bincount(cells, minlength=n_classes**2)
        return counts.reshape(n_classes, n_classes).astype(np.int64)

    def bins(self) -> list[Bin]:
        """Return the bins of confidence that hold images, pooled over all runs."""
        labels = np.concatenate([labels for _, labels, _ in self.judged])
        logits = np.concatenate([logits for _, _, logits in self.judged])
        p = np.exp(log_probabilities(logits))
        confidence, right = p.max(axis=1), p.argmax(axis=1) == labels
        place = np.minimum((confidence * N_BINS).astype(int), N_BINS - 1)
        weights = weights_of(self.selected["protocol"], labels)
        w = np.ones(len(labels)) if weights is None else weights
        return [
            Bin(
                float(np.average(confidence[inside], weights=w[inside])),
                float(np.average(right[inside], weights=w[inside])),
                int(inside.sum()),
                int(inside.sum()) < FEWEST * len(self.judged),
            )
            for inside in (place == number for number in range(N_BINS))
            if inside.any()
        ]

    def error_by_chance(self) -> float:
        """Return the calibration error that these confidences would have if they were right."""
        protocol = self.selected["protocol"]
        errors = [
            calibration_error_by_chance(labels, z, weights_of(protocol, labels))
            for _, labels, z in self.judged
        ]
        return float(np.mean(errors))

    def calibration_error(self) -> float:
        """Return the expected calibration error, mean over runs."""
        protocol = self.selected["protocol"]
        errors = [
            expected_calibration_error(labels, z, weights_of(protocol, labels))
            for _, labels, z in self.judged
        ]
        return float(np.mean(errors))


def read_confirmed(store: Store, study: StudyRows, rule: SelectionRule) -> Confirmed | None:
    """Return the confirmed runs of the selected configuration; None where there is none."""
    selected = study.selected(rule)
    runs = tuple(study.ok_runs(selected).values())
    if selected is None or not runs:
        return None
    judged: list[SplitLogits] = []
    damaged = 0
    for row in runs:
        try:
            found = store.read_logits(row["key"])
        except UserError:  # one broken file costs its run, not the report
            damaged += 1
            continue
        judged += [found["test"]] if "test" in found else []
    return Confirmed(study, selected, runs, tuple(judged), _missing(runs, judged, damaged))


def lacking(members: Sequence[Confirmed]) -> list[str]:
    """Return a sentence on each kind of logits that are not there, and whose they are."""
    labels: dict[str, list[str]] = {}
    for confirmed in members:
        if confirmed.missing:
            labels.setdefault(confirmed.missing, []).append(confirmed.study.label)
    return [f"Missing: {why}, each of {', '.join(names)}." for why, names in labels.items()]


def _missing(runs: tuple[Row, ...], judged: list[SplitLogits], damaged: int) -> str:
    n_gone = len(runs) - len(judged)
    if not n_gone:
        return ""
    why = f", {damaged} of them damaged" if damaged else ""
    return f"{n_gone} of {len(runs)} confirmed runs have no logits of test{why}"
