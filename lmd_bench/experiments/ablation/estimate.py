"""What an ablation would run, for --dry-run: its cells, the encoders to train, and the hours.

Hours are guessed from stored rows of the same task, never from rows of another: what an encoder of
each representation took, scaled to the epochs asked for, and what each calibration took on top.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from lmd_bench.core.schema import Row
from lmd_bench.core.seeding import derive_seed
from lmd_bench.core.text import clock
from lmd_bench.experiments.ablation.design import Design
from lmd_bench.experiments.ablation.record import AblationRecord
from lmd_bench.experiments.ablation.run import record_of
from lmd_bench.search.plan import StudyPlan, is_cached, plan, stored
from lmd_bench.search.proposing.study import Study
from lmd_bench.search.queue import JobQueue
from lmd_bench.search.request import SearchRequest
from lmd_bench.search.sources import Searched


@dataclass(frozen=True)
class StudyWork:
    """What is left of one study; at most, where cells are tuned."""

    task: str  # fingerprint
    representation: str
    calibration: str
    n_epochs: int
    n_trials: int
    n_encoders: int  # to train; one that several studies share counts for the first


@dataclass(frozen=True)
class Work:
    """What is left of an ablation."""

    studies: tuple[StudyWork, ...]
    n_stored: int

    @property
    def n_trials(self) -> int:
        """Return the trials and confirmations to run."""
        return sum(study.n_trials for study in self.studies)

    @property
    def n_encoders(self) -> int:
        """Return the encoders to train."""
        return sum(study.n_encoders for study in self.studies)


@dataclass(frozen=True)
class Estimate:
    """What an ablation would run."""

    record: AblationRecord  # of its cells
    work: Work
    hours: str  # a sentence on how long it takes


def work_of(request: SearchRequest, queue: JobQueue) -> Work:
    """Return what is left of an ablation."""
    outline = plan(queue, lambda spec: is_cached(request, spec))
    counted: set[str] = set()
    studies: list[StudyWork] = []
    for study, left in zip(queue.studies.values(), outline.studies, strict=True):
        unconfirmed = left.confirmations - left.confirmed
        if request.n_trials > 1:
            n_encoders = unconfirmed + (0 if study.spec.stands_on else left.left)
        else:
            new = _encoders(request, study, left) - counted
            n_encoders = len(new)
            counted |= new
        method = study.spec.method
        studies.append(
            StudyWork(
                study.spec.task_fingerprint,
                method.representation,
                method.calibration,
                request.n_epochs,
                left.left + unconfirmed,
                n_encoders,
            )
        )
    return Work(tuple(studies), outline.stored)


def seconds_of(work: Work, rows: Sequence[Row]) -> tuple[float, list[str]]:
    """Return the seconds of what is left, run one after another, and stages nothing is known of."""
    unknown: dict[str, None] = {}
    total = 0.0
    for study in work.studies:
        costs = {
            study.calibration: (study.n_trials, _calibration_seconds(rows, study)),
            study.representation: (study.n_encoders, _encoder_seconds(rows, study)),
        }
        for stage, (n, cost) in costs.items():
            if n and cost is None:
                unknown[stage] = None
            total += n * (cost or 0.0)
    return total, list(unknown)


def estimate(design: Design, request: SearchRequest) -> Estimate:
    """Return what an ablation would run; nothing is started or written."""
    store = stored(request)
    work = work_of(request, JobQueue(Searched(request), store))
    return Estimate(record_of(design, request), work, _hours(work, store.rows()))


def _hours(work: Work, rows: Sequence[Row]) -> str:
    if not work.n_trials:
        return "Nothing is left to run."
    seconds, unknown = seconds_of(work, rows)
    if unknown:
        return (
            "How long it takes is unknown: these results hold no finished trial of this task that "
            f"tells of {', '.join(unknown)}."
        )
    return f"About {clock(seconds)} by the rows stored here, one trial at a time on such a machine."


def _encoders(request: SearchRequest, study: Study, left: StudyPlan) -> set[str]:
    """Return the keys of the encoders that an untuned study needs and the cache lacks."""
    first = study.spec.trial(study.spec.default)
    specs = [first] if left.left else []
    if study.spec.requested and left.confirmed < left.confirmations:
        seeds = range(request.confirm_seeds)
        specs += [replace(first, seed=derive_seed(request.seed, "confirm", i)) for i in seeds]
    return {spec.encoder_key for spec in specs if not is_cached(request, spec)}


def _calibration_seconds(rows: Sequence[Row], study: StudyWork) -> float | None:
    """Return the median time of a stage 2 on an encoder that was there already."""
    seconds = [
        float(row["seconds"])
        for row in _on_cached(rows, study)
        if row["calibration"] == study.calibration
    ]
    return median(seconds) if seconds else None


def _encoder_seconds(rows: Sequence[Row], study: StudyWork) -> float | None:
    """Return the median time of a stage 1, by rows whose encoder was there: alone less here."""
    seconds_per_epoch = [
        float(row["standalone_seconds"] - row["seconds"]) / row["n_epochs"]
        for row in _on_cached(rows, study)
        if row["representation"] == study.representation
    ]
    return study.n_epochs * median(seconds_per_epoch) if seconds_per_epoch else None


def _on_cached(rows: Sequence[Row], study: StudyWork) -> list[Row]:
    return [
        row
        for row in rows
        if row["status"] == "ok"
        and row["task_fingerprint"] == study.task
        and row["standalone_seconds"] > row["seconds"] + 1e-9
    ]
