"""Repeats of one search, which differ in seed or split seed alone, as one line of the leaderboard.

Two searches of one method are no two competitors: how far their scores lie apart is part of what is
known of the method. Source: Bouthillier et al., Accounting for variance in machine learning
benchmarks, MLSys 2021, https://arxiv.org/abs/2103.03098.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import inf, isnan, nan, sqrt
from statistics import fmean, variance
from typing import Any

from scipy.special import stdtr, stdtrit

from lmd_bench.leaderboard.line import BoardLine
from lmd_bench.leaderboard.studies.scores import MetricSpread
from lmd_bench.stats.intervals import Interval, seed_interval
from lmd_bench.stats.joint import Joint
from lmd_bench.stats.metrics import PRIMARY
from lmd_bench.stats.spread import Spread


def pooled(lines: Iterable[BoardLine]) -> list[BoardLine]:
    """Return the lines, those of repeats of one search as one.

    A pooled score is the mean over splits of the mean over searches. Its SD is that over retraining
    seeds within a search, as in every line; those over searches and over splits stand beside it.
    Lines of rows that do not say which search they repeat stay as they are.
    """
    groups: dict[tuple[Any, ...], list[BoardLine]] = defaultdict(list)
    for line in lines:
        same = (line.dataset, line.protocol, line.imbalance_factor, line.image_size, line.n_max)
        # A line that repeats nothing is alone under the key of its study.
        key = (line.repeat_of, *same) if line.repeat_of else (line.task, line.study)
        groups[key].append(line)
    return [_one(members) if len(members) > 1 else members[0] for members in groups.values()]


def _one(members: Sequence[BoardLine]) -> BoardLine:
    splits: dict[str, list[BoardLine]] = defaultdict(list)
    for line in members:
        splits[line.task_fingerprint].append(line)
    first = members[0]
    weights = [1 / len(splits[line.task_fingerprint]) for line in members]
    scores = [[line.test[PRIMARY.name].mean for line in of_split] for of_split in splits.values()]
    means = [fmean(of_split) for of_split in scores]
    watermark = f" {first.label[at:]}" if (at := first.label.find("(")) > 0 else ""
    return replace(
        first,
        task=_task(first, len(splits)),
        label=first.method + watermark,
        study=" ".join(line.study for line in members),
        task_fingerprint=" ".join(splits),
        selected_key=" ".join(line.selected_key for line in members),
        joint=_joint(members, scores),
        test=_spreads([line.test for line in members], weights),
        default_test=_spreads([line.default_test for line in members], weights),
        asked={
            name: MetricSpread(
                _spread([line.asked[name].spread for line in members], weights),
                sum(line.asked[name].n_undefined for line in members),
            )
            for name in first.asked
        },
        default_was_selected=all(line.default_was_selected for line in members),
        fewer_trials=any(line.fewer_trials for line in members),
        with_best=any(line.with_best for line in members),
        val_balanced_accuracy=fmean(line.val_balanced_accuracy for line in members),
        **{name: sum(getattr(line, name) for line in members) for name in _SUMMED},
        n_searches=max(len(of_split) for of_split in scores),
        n_splits=len(splits),
        sd_over_searches=_sd_within(scores),
        sd_over_splits=sqrt(variance(means)) if len(means) > 1 and not _any_nan(means) else nan,
    )


def _joint(members: Sequence[BoardLine], scores: Sequence[Sequence[float]]) -> Joint:
    """Return balanced accuracy with its interval over all that was repeated.

    Splits have test images, searches and retrainings of their own, so their spread holds all of
    them. Searches on one split share its images: SE^2 = SE_images^2 + s_searches^2 / S, with
    Satterthwaite's degrees of freedom.
    """
    means = [fmean(of_split) for of_split in scores]
    over_splits = len(means) > 1
    repeats = means if over_splits else scores[0]
    value, n = fmean(repeats), sum(line.n_seeds for line in members)
    images = members[0].joint.images
    of_images = 0.0 if over_splits else ((images.high - images.low) / 2 / _NORMAL) ** 2
    if _any_nan(repeats) or isnan(of_images):
        unknown = Interval(nan, nan, "")
        return Joint(value, n, nan, nan, unknown, unknown, unknown, nan)
    of_repeats = variance(repeats) / len(repeats)
    total = of_images + of_repeats
    df = (len(repeats) - 1) * (total / of_repeats) ** 2 if of_repeats else inf
    half = float(stdtrit(min(df, _MOST_DF), 0.975)) * sqrt(total)
    over = f"{len(repeats)} splits" if over_splits else f"{images.over}, {len(repeats)} searches"
    interval = Interval(value - half, value + half, over)
    seeds = seed_interval(list(repeats))
    p = 2 * float(stdtr(min(df, _MOST_DF), -abs(value) / sqrt(total))) if total else nan
    return Joint(value, n, sqrt(total), df, interval, images, seeds, p)


_NORMAL = 1.96  # half of an interval of 95 % in standard errors
_MOST_DF = 1e6  # beyond it Student's t is the normal one
_SUMMED = (
    *("n_seeds", "n_seeds_failed", "default_n_seeds", "default_n_seeds_failed"),
    *("n_stage1_trials", "n_trials", "n_trials_ok", "seconds", "standalone_seconds"),
)


def _task(line: BoardLine, n_splits: int) -> str:
    """Return how the task of several splits is called: as one of them, without what names it."""
    if n_splits == 1:
        return line.task
    named = (line.task_fingerprint[:8], f"split {line.split_seed}")
    parts = [part for part in line.task.split(" · ") if part not in named]
    return " · ".join([*parts, f"{n_splits} splits"])


def _spreads(
    of_lines: Sequence[Mapping[str, Spread]], weights: Sequence[float]
) -> dict[str, Spread]:
    return {name: _spread([scores[name] for scores in of_lines], weights) for name in of_lines[0]}


def _spread(spreads: Sequence[Spread], weights: Sequence[float]) -> Spread:
    """Return the weighted mean, and the SD over retraining seeds that the searches have in common.

    Args:
        spreads: Of each search.
        weights: One over the searches of its split, so that every split counts the same.
    """
    mean = sum(w * s.mean for w, s in zip(weights, spreads, strict=True)) / sum(weights)
    within = [s.sd**2 for s in spreads if s.n > 1]
    return Spread(mean, sqrt(fmean(within)) if within else nan, sum(s.n for s in spreads))


def _sd_within(scores: Sequence[Sequence[float]]) -> float:
    """Return the SD over the searches of one split, pooled over the splits."""
    repeated = [of_split for of_split in scores if len(of_split) > 1 and not _any_nan(of_split)]
    n = sum(len(of_split) - 1 for of_split in repeated)
    return sqrt(sum(variance(s) * (len(s) - 1) for s in repeated) / n) if n else nan


def _any_nan(values: Sequence[float]) -> bool:
    return any(map(isnan, values))
