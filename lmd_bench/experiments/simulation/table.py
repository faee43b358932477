"""Tables: the stored trials of a study as what a search would have been answered.

A table knows of each config what was measured of it: its val score, the curve of its stage 1, what
it cost, and its score on test where it was confirmed. What was not measured is None.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from optuna.distributions import CategoricalDistribution

from lmd_bench.core.schema import Config, Row
from lmd_bench.leaderboard.imbalance.over_range import RangeStudy, range_studies
from lmd_bench.leaderboard.studies.group import StudyRows, by_factor, group_studies
from lmd_bench.methods.settings import deferral_of
from lmd_bench.methods.space import Space, search_space
from lmd_bench.search.jobs import encoder_score, stage1_curve, value_of
from lmd_bench.search.proposing.levels import relative_scores
from lmd_bench.search.proposing.proposals import Params
from lmd_bench.search.proposing.study import ENCODER_RANK
from lmd_bench.search.watching.dashboard import common_space

N_LEAST = 3  # successful trials; a smaller table has nothing to tell


@dataclass(frozen=True)
class StoredTrial:
    """What is known of one config."""

    key: str  # of its row
    number: int  # in the study that ran it
    status: str
    is_default: bool
    config: Config  # complete
    encoder: str  # hash of all that shaped its stage 1; "" where the trial failed before it
    encoder_rank: int | None  # of a calibration that was searched on ranked encoders
    encoder_score: float | None  # what its encoder is ranked by where calibrations stand on it
    curve: tuple[float, ...]  # val balanced accuracy after each epoch of stage 1
    value: float | None  # val balanced accuracy; None of a trial that failed or was pruned
    seconds: float  # what it cost where it ran
    alone_seconds: float  # with the training of its own stage 1
    deferral: float  # share of stage 1 before which it may not be judged
    test: float | None  # balanced accuracy, mean over the confirmation seeds; None: not confirmed
    n_confirmed: int  # seeds of that mean


@dataclass(frozen=True)
class StudyTable:
    """The trials of one study, in the order of their numbers."""

    study: str
    task: str  # as tables call it
    dataset: str
    method: str
    representation: str
    calibration: str
    n_epochs: int  # of stage 1
    staged: bool  # a calibration study, whose trials train no stage 1
    space: Space  # what was searched and varies
    trials: tuple[StoredTrial, ...]

    @cached_property
    def best(self) -> float:
        """Return the best val score; NaN where no trial ended well."""
        values = [trial.value for trial in self.trials if trial.value is not None]
        return max(values, default=float("nan"))

    @property
    def n_ok(self) -> int:
        """Return how many trials ended well."""
        return sum(trial.value is not None for trial in self.trials)

    @property
    def problem(self) -> str:
        """Return why it cannot be replayed; "" where it can."""
        if self.n_ok < N_LEAST:
            n = self.n_ok
            return f"{n} successful trial{'' if n == 1 else 's'} of {N_LEAST} that a replay takes"
        if not self.space:
            return "all trials have the same config"
        return ""

    def params(self, trial: StoredTrial) -> Params:
        """Return what was searched of a trial."""
        rank: Params = {} if trial.encoder_rank is None else {ENCODER_RANK: trial.encoder_rank}
        values = {**trial.config, **rank}
        return {key: values[key] for key in self.space if key in values}

    def cost(self, trial: StoredTrial) -> float:
        """Return the seconds that a replay takes for a whole trial.

        Of a calibration on ranked encoders, what it cost where it ran: its encoders are there. Of
        others, what it would have cost alone, since none of them may profit from another search.
        """
        return trial.seconds if self.staged else trial.alone_seconds


def tables_of(rows: Iterable[Mapping[str, Any]]) -> list[StudyTable]:
    """Return the table of each study that has search rows, tasks by rising factor."""
    rows = list(rows)
    tables = [_table(study) for study in by_factor(group_studies(rows)) if study.trials]
    return tables + [_over_range(study, rows) for study in range_studies(rows)]


def _over_range(study: RangeStudy, rows: Iterable[Row]) -> StudyTable:
    """Return the table of a study that drew factors: as a sampler is told, less the default's.

    The default, which ran at each factor, is one trial. On test it and what was chosen have the
    mean over all factors.
    """
    level = {factor: place for place, factor in enumerate(study.factors)}

    def level_of(row: Row) -> int:
        return level[row["imbalance_factor"]]

    value = relative_scores(study.trials, level_of, study.factors)
    encoder = relative_scores(study.trials, level_of, study.factors, encoder_score)
    first = next((row for row in study.trials if row["is_default"]), None)
    own = [row for row in study.trials if not row["is_default"] or row is first]
    table = _table(StudyRows(study.family, study.method, study.study, study.method, tuple(own)))
    runs = [row for row in rows if row["study"] == study.study and row["phase"] == "confirm"]

    def relative(trial: StoredTrial) -> StoredTrial:
        of = [
            float(row["test_balanced_accuracy"])
            for row in runs
            if row["status"] == "ok"
            and row["test_balanced_accuracy"] is not None
            and (row["is_default"] if trial.is_default else row["source_key"] == trial.key)
        ]
        shift = (trial.value or 0.0) - value.get(trial.key, 0.0)
        return replace(
            trial,
            value=value.get(trial.key),
            # Pruners compare curves of one factor, which a replay does not know: those of all are
            # brought to one height.
            curve=tuple(score - shift for score in trial.curve),
            encoder_score=encoder.get(trial.key),
            test=float(np.mean(of)) if of else None,
            n_confirmed=len(of),
        )

    return replace(table, trials=tuple(relative(trial) for trial in table.trials))


def searched(
    sections: Sequence[str], configs: Sequence[Mapping[str, Any]], *, ranked: bool = False
) -> Space:
    """Return the distributions of the settings that differ between configs.

    They are the shipped ones, widened where a value lies outside. What all configs share was
    fixed, or could just as well have been.

    Args:
        sections: Whose settings were searched.
        configs: Complete; with `encoder_rank` where there is one.
        ranked: Whether the encoder was searched, too.
    """
    space = search_space(sections)
    ranks = {config[ENCODER_RANK] for config in configs if ENCODER_RANK in config}
    if ranked and ranks:
        space[ENCODER_RANK] = CategoricalDistribution(sorted(ranks))
    shared = {k for k in space if len({json.dumps(c.get(k)) for c in configs}) < 2}
    return {
        key: within for key, within in common_space(space, configs).items() if key not in shared
    }


def _table(study: StudyRows) -> StudyTable:
    first = study.trials[0]
    staged = any(row["encoder_rank"] is not None for row in study.trials)
    trials = tuple(_trial(study, row) for row in study.trials)
    own = (first["calibration"],)
    sections = own if staged else ("training", first["representation"], *own)
    ranks = [{} if t.encoder_rank is None else {ENCODER_RANK: t.encoder_rank} for t in trials]
    configs = [{**trial.config, **rank} for trial, rank in zip(trials, ranks, strict=True)]
    return StudyTable(
        study=study.study,
        task=study.task,
        dataset=first["dataset"],
        method=study.method,
        representation=first["representation"],
        calibration=first["calibration"],
        n_epochs=first["n_epochs"],
        staged=staged,
        space=searched(sections, configs, ranked=staged),
        trials=trials,
    )


def _trial(study: StudyRows, row: Mapping[str, Any]) -> StoredTrial:
    tests = [run["test_balanced_accuracy"] for run in study.ok_runs(row).values()]
    tests = [test for test in tests if test is not None and np.isfinite(test)]
    config = json.loads(row["config_json"])
    return StoredTrial(
        key=row["key"],
        number=row["trial_number"],
        status=row["status"],
        is_default=row["is_default"],
        config=config,
        encoder=row["encoder_key"],
        encoder_rank=row["encoder_rank"],
        encoder_score=encoder_score(row),
        curve=stage1_curve(row),
        value=value_of(row),
        seconds=row["seconds"],
        alone_seconds=row["standalone_seconds"],
        deferral=deferral_of(row["representation"], config),
        test=float(np.mean(tests)) if tests else None,
        n_confirmed=len(tests),
    )
