"""Repeats of one search, which differ in seed or split seed alone, as one line of the leaderboard.

Two searches of one method are no two competitors: how far their scores lie apart is part of what is
known of the method. Source: Bouthillier et al., Accounting for variance in machine learning
benchmarks, MLSys 2021, https://arxiv.org/abs/2103.03098.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan, sqrt
from statistics import fmean, variance
from typing import Any

from lmd_bench.leaderboard.line import BoardLine
from lmd_bench.leaderboard.studies.group import StudyRows, data_of, over_splits_label
from lmd_bench.leaderboard.studies.measure import measure_alone
from lmd_bench.leaderboard.studies.predictions import Judged, together
from lmd_bench.leaderboard.studies.scores import MetricSpread
from lmd_bench.stats.joint import Joint
from lmd_bench.stats.metrics import PRIMARY
from lmd_bench.stats.splits import over_splits
from lmd_bench.stats.spread import Spread
from lmd_bench.stats.spread import pooled as spread_of_all


@dataclass(frozen=True, eq=False)
class Measured:
    """A line, its study, and what its runs got right; None where that is not known."""

    line: BoardLine
    study: StudyRows
    judged: Judged | None


def pooled(
    measured: Iterable[Measured], versions: Collection[tuple[Any, ...]] = ()
) -> list[Measured]:
    """Return the lines, those of repeats of one search as one.

    A pooled score is the mean over splits of the mean over searches. Its SD is that over retraining
    seeds within a search, as in every line; those over searches and over splits stand beside it.
    Lines of rows that do not say which search they repeat stay as they are.

    Args:
        measured: The lines of all tasks.
        versions: Data of which there are several versions; their tasks are not put together.
    """
    groups: dict[tuple[Any, ...], list[Measured]] = defaultdict(list)
    for one in measured:
        line = one.line
        data = data_of(vars(line))
        version = line.task_fingerprint if data in versions else ""
        # A line that repeats nothing is alone under the key of its study.
        key = (line.repeat_of, data, version) if line.repeat_of else (line.task, line.study)
        groups[key].append(one)
    return [_pool(members) if len(members) > 1 else members[0] for members in groups.values()]


def _pool(members: Sequence[Measured]) -> Measured:
    known = [(one.study, one.judged) for one in members if one.judged is not None]
    judged = together(known) if len(known) == len(members) else None
    line = _one([one.line for one in members], judged)
    return Measured(line, members[0].study, judged and replace(judged, label=line.method))


def _one(members: Sequence[BoardLine], judged: Judged | None) -> BoardLine:
    splits: dict[str, list[BoardLine]] = defaultdict(list)
    for line in members:
        splits[line.task_fingerprint].append(line)
    first = members[0]
    # Every split counts the same, whatever its number of searches.
    weights = [1 / len(splits[line.task_fingerprint]) for line in members]
    scores = [[line.test[PRIMARY.name].mean for line in of_split] for of_split in splits.values()]
    means = [fmean(of_split) for of_split in scores]
    watermark = f" {first.label[at:]}" if (at := first.label.find("(")) > 0 else ""
    return replace(
        first,
        task=first.task
        if len(splits) == 1
        else over_splits_label(first.task, first.split_seed, first.task_fingerprint, len(splits)),
        label=first.method + watermark,
        study=" ".join(line.study for line in members),
        task_fingerprint=" ".join(splits),
        selected_key=" ".join(line.selected_key for line in members),
        joint=_joint(first.joint, means, judged),
        test=_spreads([line.test for line in members], weights),
        default_test=_spreads([line.default_test for line in members], weights),
        asked={
            name: MetricSpread(
                spread_of_all([line.asked[name].spread for line in members], weights),
                sum(line.asked[name].n_undefined for line in members),
            )
            for name in first.asked
        },
        default_was_selected=all(line.default_was_selected for line in members),
        fewer_trials=any(line.fewer_trials for line in members),
        val_balanced_accuracy=fmean(line.val_balanced_accuracy for line in members),
        **{name: sum(getattr(line, name) for line in members) for name in _SUMMED},
        n_searches=max(len(of_split) for of_split in scores),
        n_splits=len(splits),
        sd_over_searches=_sd_within(scores),
        sd_over_splits=sqrt(variance(means)) if len(means) > 1 and not _any_nan(means) else nan,
    )


def _joint(first: Joint, means: Sequence[float], judged: Judged | None) -> Joint:
    """Return balanced accuracy with its interval over all that was repeated.

    Args:
        first: Of the first search.
        means: Of each split.
        judged: What all of them got right; None: the spread over images is unknown, and so is that
            over all.
    """
    if judged is None:
        return over_splits([replace(first, value=mean, images_se=nan) for mean in means], nan)
    return measure_alone(judged)


_SUMMED = (
    *("n_seeds", "n_seeds_failed", "default_n_seeds", "default_n_seeds_failed"),
    *("n_stage1_trials", "n_trials", "n_trials_ok", "seconds", "standalone_seconds"),
)


def _spreads(
    of_lines: Sequence[Mapping[str, Spread]], weights: Sequence[float]
) -> dict[str, Spread]:
    return {
        name: spread_of_all([scores[name] for scores in of_lines], weights) for name in of_lines[0]
    }


def _sd_within(scores: Sequence[Sequence[float]]) -> float:
    """Return the SD over the searches of one split, pooled over the splits."""
    repeated = [of_split for of_split in scores if len(of_split) > 1 and not _any_nan(of_split)]
    n = sum(len(of_split) - 1 for of_split in repeated)
    return sqrt(sum(variance(s) * (len(s) - 1) for s in repeated) / n) if n else nan


def _any_nan(values: Sequence[float]) -> bool:
    return any(map(isnan, values))
