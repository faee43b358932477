"""`lmd-bench intervals`: each method's score with every spread that is known of it, labelled."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isnan, sqrt
from statistics import fmean

import numpy as np
import pandas as pd
from jaxtyping import Float, Int64

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import Row
from lmd_bench.core.text import natural_order
from lmd_bench.leaderboard.answer import Answer
from lmd_bench.leaderboard.compare import class_recall
from lmd_bench.leaderboard.studies.group import (
    StudyRows,
    by_table,
    by_task,
    called,
    group_studies,
    of_studies,
    repeated,
)
from lmd_bench.leaderboard.studies.measure import measure_alone, quiet_note
from lmd_bench.leaderboard.studies.predictions import (
    Clusters,
    Judged,
    read_judged,
    read_repeats,
    with_clusters,
)
from lmd_bench.leaderboard.studies.rules import SelectionRule, score
from lmd_bench.leaderboard.tables.text import Part, Table, bounds, percent, with_bounds
from lmd_bench.stats.intervals import Interval
from lmd_bench.stats.joint import joint_columns
from lmd_bench.stats.proportions import EXACT_BELOW, recall_interval
from lmd_bench.store.store import Store


@dataclass(frozen=True)
class ProcedureSpread:
    """What a study's search gives when its trials are drawn again."""

    n_trials: int
    score_mean: float  # of the rule, for the selected configuration
    score_sd: float  # NaN below two trials beside the default
    known: float  # chance that the selected configuration is a confirmed one
    test_mean: float  # balanced accuracy on test of the selected configuration, where known
    test_sd: float

    @property
    def over(self) -> str:
        """Return what the spread is over, in words."""
        return (
            f"{self.n_trials} search trials drawn again; {100 * self.known:.0f} % of what would be "
            "selected is confirmed"
        )


def intervals(
    store: Store,
    rows: Sequence[Row],
    rule: SelectionRule,
    *,
    by_class: bool = False,
    clusters: Clusters | None = None,
    study: str = "",
) -> Answer:
    """Return every method's score, or its recall of each class, with its intervals.

    Args:
        store: Where the logits lie.
        rows: Of any number of studies.
        rule: What selects the configuration of each study.
        by_class: The recall of each class instead.
        clusters: Lesions or patients of the images; None: those stored with the logits.
        study: Studies whose id does not hold this text are left out.

    Raises:
        UserError: no confirmed run has logits of test, or no such study.
    """
    studies = group_studies(of_studies(rows, study))
    frame = (
        class_frame(store, studies, rule)
        if by_class
        else method_frame(store, studies, rule, clusters)
    )
    if frame.empty:
        raise UserError(
            f"No confirmed run in {store.root} has logits of test, which intervals over images "
            "take; let its search confirm, or name another folder of results."
        )
    notes = tasks_without_lines(by_task(studies) if by_class else by_table(studies), frame)

    def text() -> list[Part]:
        tables = by_task(studies) if by_class else by_table(studies)
        places = {task: place for place, task in enumerate(tables)}
        ordered = frame.sort_values("task", key=lambda tasks: tasks.map(places), kind="stable")
        parts = classes_text(ordered, rule) if by_class else methods_text(ordered, rule)
        return [*parts, *(["", *(f"Note: {note}." for note in notes)] if notes else [])]

    return Answer({"rows": frame}, text, rule, tuple(notes))


def method_frame(
    store: Store,
    studies: Sequence[StudyRows],
    rule: SelectionRule,
    clusters: Clusters | None = None,
) -> pd.DataFrame:
    """Return one line per study with confirmed logits: its score on test and what is known of it.

    Repeats of one search are one line. `low` and `high` are over test lesions and retrainings
    together (over searches and splits too, where they were repeated), those of `images` and `seeds`
    over each alone, all 95 %. `search_sd` is over searches, of the score on val: over those that
    were run, or over the search replayed.

    Args:
        store: Where the logits lie.
        studies: Of any number of tasks.
        rule: What selects the configuration of each study.
        clusters: Lesions or patients of the images; None: those stored with the logits.
    """
    lines: list[Row] = []
    for task, members in by_table(studies).items():
        for repeats in repeated(members):
            judged = read_repeats(store, repeats, rule)
            if judged is not None:
                lines.append({"task": task, **_method(repeats, judged, rule, clusters)})
    return pd.DataFrame(lines).assign(rule=rule.name, watermark=rule.watermark)


def class_frame(store: Store, studies: Sequence[StudyRows], rule: SelectionRule) -> pd.DataFrame:
    """Return one line per study and class: mean recall over seeds and its interval over images.

    Exact below 30 images, Wilson's from there on. Where no logits were kept, from what rows say.
    """
    lines: list[Row] = []
    for study in studies:
        selected = study.selected(rule)
        known = _recall_and_images(store, study, rule)
        if known is None or selected is None:
            continue
        recall, n_images = known
        low, high = recall_interval(np.nan_to_num(recall) * n_images, n_images)
        names = selected["class_names"]
        for index in natural_order(names):
            few = n_images[index] < EXACT_BELOW
            lines.append(
                {
                    "task": study.task,
                    "label": study.label,
                    "class": names[index],
                    "group": selected["groups"][index],
                    "n_images": int(n_images[index]),
                    "recall": recall[index],
                    "low": low[index],
                    "high": high[index],
                    "interval": "Clopper-Pearson" if few else "Wilson",
                }
            )
    return pd.DataFrame(lines).assign(rule=rule.name, watermark=rule.watermark)


def methods_text(frame: pd.DataFrame, rule: SelectionRule) -> list[Part]:
    """Return the lines of `method_frame` as text, a table per task."""
    over = "; ".join(frame["over"].unique())
    lines: list[Part] = [
        "Balanced accuracy on test in %, mean over the retraining seeds of one configuration, "
        f"selected by {rule.name}.",
        f"[ ]: 95 % over {over}. Images: for these trained models alone; seeds: on these images "
        "alone, by Student's t (number of retrainings). A dash: not known. *: some class has "
        "few images, or nearly all or none right (n p (1 - p) below 3); its limits are Jeffreys'.",
        f"Search: mean ± SD of the selected {rule.name} over the searches that were run or, of one "
        "search on each split, had its trials been drawn again, and how often what would be "
        "selected is confirmed; of those, the SD on test. Drawing again knows nothing of trials "
        "that were never run, so the true SD is as large or larger (simulations: up to 1.7 times), "
        "and nothing of configurations that were not confirmed.",
    ]
    header = ("method", "bal. acc.", "images", "seeds", "search", "con-\nfirmed", "SD on\ntest")
    for task, part in frame.groupby("task", sort=False):
        ordered = part.sort_values(["balanced_accuracy", "label"], ascending=[False, True])
        lines += ["", str(task), Table(header, [_cells(r) for r in _records(ordered)])]
    return lines


def classes_text(frame: pd.DataFrame, rule: SelectionRule) -> list[Part]:
    """Return the lines of `class_frame` as text, a table per task and method."""
    lines: list[Part] = [
        f"Recall on test in %, mean over seeds, configurations selected by {rule.name}; 95 % "
        "intervals over images as if each were of its own lesion: exact (*) below "
        f"{EXACT_BELOW} images, else Wilson's."
    ]
    header = ("class", "group", "images", "recall", "95 %")
    last_task = ""
    for (task, label), part in frame.groupby(["task", "label"], sort=False):
        cells = [
            (
                row["class"],
                row["group"],
                str(row["n_images"]),
                percent(row["recall"]),
                bounds(Interval(row["low"], row["high"], ""))
                + ("*" if row["interval"] == "Clopper-Pearson" else " "),
            )
            for row in _records(part)
        ]
        lines += ["", str(task)] if task != last_task else []
        last_task = task
        lines += ["", str(label), Table(header, cells)]
    return lines


def tasks_without_lines(tasks: Iterable[str], frame: pd.DataFrame) -> list[str]:
    """Return a note on each task of which nothing can be shown."""
    shown = set(frame["task"]) if len(frame) else set[str]()
    return [f"no confirmed logits of test on {task}" for task in tasks if task not in shown]


def selection_chances(better_than_default: int, n_others: int, n_draws: int) -> list[float]:
    """Return the chance of each trial that beats the default to be selected, best first.

    Of n_others trials, drawn n_draws times with replacement, the r-th best (from 0) is selected
    with ((n - r)^m - (n - r - 1)^m) / n^m; what is left is the chance of the default.
    """
    n, m = n_others, n_draws
    return [((n - r) / n) ** m - ((n - r - 1) / n) ** m for r in range(better_than_default)]


def procedure_spread(study: StudyRows, rule: SelectionRule) -> ProcedureSpread | None:
    """Return the spread of a study's search; None without a trial that the rule can judge."""
    trials = study.trials
    ranked = _ranked(study, rule)
    if not ranked:
        return None
    default = study.default
    place = next((i for i, (_, row) in enumerate(ranked) if row is default), len(ranked))
    kept = int(default is not None)
    n_others = len(trials) - kept
    chances = selection_chances(min(place, n_others), n_others, n_others)
    rest = 1.0 - sum(chances)
    candidates = ranked[: place + 1] if place < len(ranked) else ranked
    # without a usable default, nothing is selected where only failed trials are drawn
    weights = [*chances, rest] if place < len(ranked) else chances
    scores = [value for value, _ in candidates]
    tests = [_test_mean(study, row) for _, row in candidates]
    mean, sd = _moments(scores, weights)
    test_mean, test_sd = _moments(tests, weights)
    if n_others < 2:  # one trial drawn from itself shows no spread
        sd = test_sd = float("nan")
    known = sum(w for w, test in zip(weights, tests, strict=True) if not isnan(test))
    return ProcedureSpread(len(trials), mean, sd, known / sum(weights), test_mean, test_sd)


def spread_of_repeats(repeats: Sequence[StudyRows], rule: SelectionRule) -> ProcedureSpread | None:
    """Return the spread over searches of one split that were run; of single ones, replayed.

    Over several splits it is the mean of theirs, and their SD in common.
    """
    chosen: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for study in repeats:
        row = study.selected(rule)
        if row is not None and (value := score(row, rule, study.runs(row))) is not None:
            chosen[row["task_fingerprint"]].append((value, _test_mean(study, row)))
    several = [np.array(of_split) for of_split in chosen.values() if len(of_split) > 1]
    if not several:
        replayed = [spread for s in repeats if (spread := procedure_spread(s, rule)) is not None]
        return _in_common(replayed) if len(replayed) > 1 else next(iter(replayed), None)
    df = sum(len(of_split) - 1 for of_split in several)
    sums = np.sum([((one - one.mean(axis=0)) ** 2).sum(axis=0) for one in several], axis=0)
    score_sd, test_sd = np.sqrt(sums / df).tolist()
    score_mean, test_mean = np.mean([one.mean(axis=0) for one in several], axis=0).tolist()
    n_trials = sum(len(study.trials) for study in repeats)
    return ProcedureSpread(n_trials, score_mean, score_sd, 1.0, test_mean, test_sd)


def _in_common(splits: Sequence[ProcedureSpread]) -> ProcedureSpread:
    """Return the replays of the search of each split as one; NaN for what one does not know."""
    return ProcedureSpread(
        n_trials=sum(split.n_trials for split in splits),
        score_mean=fmean(split.score_mean for split in splits),
        score_sd=sqrt(fmean(split.score_sd**2 for split in splits)),
        known=fmean(split.known for split in splits),
        test_mean=fmean(split.test_mean for split in splits),
        test_sd=sqrt(fmean(split.test_sd**2 for split in splits)),
    )


def _recall_and_images(
    store: Store, study: StudyRows, rule: SelectionRule
) -> tuple[Float[np.ndarray, " classes"], Int64[np.ndarray, " classes"]] | None:
    """Return the mean recall and the images of each class, from logits or else from the rows."""
    judged = read_judged(store, study, rule)
    if judged is not None:
        recall = class_recall(judged, judged.seeds).mean(axis=0)
        return recall, np.bincount(judged.labels, minlength=len(recall)).astype(np.int64)
    runs = list(study.ok_runs(study.selected(rule)).values())
    if not runs or any(run["test_counts"] is None or run["test_recall"] is None for run in runs):
        return None
    recalls = np.array([run["test_recall"] for run in runs], dtype=np.float64)
    return recalls.mean(axis=0), np.array(runs[0]["test_counts"], dtype=np.int64)


def _method(
    repeats: Sequence[StudyRows], judged: Judged, rule: SelectionRule, clusters: Clusters | None
) -> Row:
    judged = with_clusters(judged, clusters)
    score = measure_alone(judged)
    search = spread_of_repeats(repeats, rule)
    assert search is not None, "a confirmed study has a trial that can be selected"
    return {
        "label": called(repeats),
        "balanced_accuracy": score.value,
        "n_seeds": score.n_seeds,
        **joint_columns(score),
        "over": score.interval.over,
        "quiet_classes": bool(quiet_note(judged, judged.clusters)),
        "search_mean": search.score_mean,
        "search_sd": search.score_sd,
        "search_known": search.known,
        "search_test_sd": search.test_sd,
        "n_trials": search.n_trials,
    }


def _records(frame: pd.DataFrame) -> list[Row]:
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")]


def _cells(row: Row) -> list[str]:
    seeds = Interval(row["seeds_low"], row["seeds_high"], "")
    return [
        row["label"],
        with_bounds(row["balanced_accuracy"], Interval(row["low"], row["high"], ""))
        + ("*" if row["quiet_classes"] else ""),
        bounds(Interval(row["images_low"], row["images_high"], "")),
        f"{bounds(seeds)} ({row['n_seeds']})",
        _with_sd(row["search_mean"], row["search_sd"]),
        f"{100 * row['search_known']:.0f} %",
        percent(row["search_test_sd"]),
    ]


def _with_sd(mean: float, sd: float) -> str:
    return percent(mean) if isnan(sd) else f"{percent(mean)} ± {percent(sd)}"


def _ranked(study: StudyRows, rule: SelectionRule) -> list[tuple[float, Row]]:
    scored = [
        (value, row)
        for row in study.trials
        if (value := score(row, rule, study.runs(row))) is not None
    ]
    return sorted(scored, key=lambda pair: (-pair[0], pair[1]["trial_number"]))


def _test_mean(study: StudyRows, row: Row) -> float:
    values = [run["test_balanced_accuracy"] for run in study.ok_runs(row).values()]
    # as numbers, a null is NaN
    return float(np.mean(np.array(values, dtype=np.float64))) if values else float("nan")


def _moments(values: Sequence[float], weights: Sequence[float]) -> tuple[float, float]:
    """Return the mean and standard deviation over the values that are known.

    One value alone shows no spread: its SD is NaN, not 0.
    """
    x, w = np.array(values), np.array(weights)
    # What has no chance but a rounding error is not known of.
    known = ~np.isnan(x) & (w > 1e-9)
    if not known.any():
        return float("nan"), float("nan")
    x, w = x[known], w[known] / w[known].sum()
    mean = float(w @ x)
    return mean, float(np.sqrt(w @ (x - mean) ** 2)) if len(x) > 1 else float("nan")
