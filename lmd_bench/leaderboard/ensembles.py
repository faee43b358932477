"""`lmd-bench leaderboard --show single,seeds,ensemble`: confirmed runs together, without training.

The mean probabilities of a method's confirmed seeds are one classifier, and so are those of runs of
several methods. All of it comes from the stored logits; what is chosen is chosen on val.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int64

from lmd_bench.core.errors import UserError, unknown
from lmd_bench.core.schema import Row
from lmd_bench.leaderboard.answer import Answer
from lmd_bench.leaderboard.studies.budget import Budget, within
from lmd_bench.leaderboard.studies.group import StudyRows, by_task, group_studies
from lmd_bench.leaderboard.studies.measure import measure, measure_alone, quiet_note
from lmd_bench.leaderboard.studies.predictions import Judged, read_judged, same_images
from lmd_bench.leaderboard.studies.rules import SelectionRule
from lmd_bench.leaderboard.tables.text import Part, Table, bounds, percent
from lmd_bench.stats.ensembles import balanced_log_loss, greedy_counts, weighted_mean
from lmd_bench.stats.intervals import Interval
from lmd_bench.stats.joint import Joint
from lmd_bench.stats.probabilities import log_probabilities
from lmd_bench.store.store import Store

SINGLE, SEEDS, ENSEMBLE = "single", "seeds", "ensemble"
SHOWN = (SINGLE, SEEDS, ENSEMBLE)
_UNKNOWN = Interval(nan, nan, "")


@dataclass(frozen=True, eq=False)
class _Confirmed:
    """The confirmed runs of a study's selected configuration: right on test, and sure of val."""

    judged: Judged
    val_images: tuple[tuple[str, ...], Int64[np.ndarray, " val"]]  # ids and labels, in order
    val: Float[np.ndarray, "seeds val classes"]  # probabilities
    test: Float[np.ndarray, "seeds test classes"]
    val_score: float  # mean balanced accuracy of the runs


def parse_shown(text: str) -> tuple[str, ...]:
    """Return what names between commas ask for, each once.

    Raises:
        UserError: a name that is none of them.
    """
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names or ("",):
        if name not in SHOWN:
            raise unknown("line to show", name, SHOWN)
    return names


def ensembles(
    store: Store,
    rows: Sequence[Row],
    rule: SelectionRule,
    shown: Sequence[str] = SHOWN,
    budget: Budget | None = None,
) -> Answer:
    """Return single runs, the seeds of each method together, and several methods together.

    Args:
        store: Where the logits lie.
        rows: Of any number of studies.
        rule: What selects the configuration of each study.
        shown: Of `single`, `seeds` and `ensemble`.
        budget: What each study may have cost; None: all trials.

    Raises:
        UserError: no confirmed run has logits of val and test.
    """
    studies = group_studies(rows)
    if budget is not None:
        studies = [within(study, budget)[0] for study in studies]
    lines: list[Row] = []
    notes: list[str] = []
    for task, members in by_task(studies).items():
        confirmed = [runs for study in members if (runs := _read(store, study, rule)) is not None]
        if not confirmed:
            notes.append(f"no confirmed logits of val and test on {task}")
            continue
        lines += [{"task": task, **line} for line in _lines(confirmed) if line["show"] in shown]
        if note := quiet_note(confirmed[0].judged, confirmed[0].judged.clusters):
            notes.append(f"{task}: {note}")
    if not lines:
        raise UserError(
            f"No confirmed run in {store.root} has logits of val and test, which ensembles take; "
            "let its search confirm with --confirm-seeds 2 or more, or name a folder whose rows "
            "were not merged with --private, --logits test or tuned."
        )
    frame = pd.DataFrame(lines).assign(rule=rule.name, watermark=rule.watermark)
    return Answer({"rows": frame}, lambda: _text(frame, rule, notes), rule, tuple(notes))


def _read(store: Store, study: StudyRows, rule: SelectionRule) -> _Confirmed | None:
    judged, selected = read_judged(store, study, rule), study.selected(rule)
    if judged is None or selected is None:
        return None
    runs = study.ok_runs(selected)
    images: tuple[tuple[str, ...], Int64[np.ndarray, " images"]] | None = None
    of_seeds: list[Float[np.ndarray, "images classes"]] = []
    for seed in judged.seeds:
        stored = store.read_logits(runs[seed]["key"])
        if "val" not in stored:
            return None
        ids, labels, logits = stored["val"]
        order = np.argsort(np.array(ids, dtype=str), kind="stable")
        these = tuple(ids[index] for index in order), labels[order]
        same_images(study.label, images or these, these)
        images = these
        of_seeds.append(_probabilities(logits[order]))
    assert images is not None, "a judged study has a run"
    scores = [runs[seed]["val_balanced_accuracy"] for seed in judged.seeds]
    test = np.stack([_probabilities(logits) for logits in judged.logits])
    return _Confirmed(judged, images, np.stack(of_seeds), test, float(np.mean(scores)))


def _lines(confirmed: Sequence[_Confirmed]) -> Iterator[Row]:
    """Yield the lines of one task."""
    best_on_val = max(confirmed, key=lambda runs: runs.val_score)
    for runs in confirmed:
        judged, n = runs.judged, len(runs.judged.seeds)
        loss = np.mean([balanced_log_loss(runs.val_images[1], p) for p in runs.val])
        score = measure_alone(judged)
        name = f"{judged.label}, mean of {n} runs"
        yield _line(SINGLE, name, n, score, float(loss))
        # Of one run there is nothing to take the mean of.
        if n > 1:
            together = _as_judged(judged, runs.test.mean(axis=0))
            loss = balanced_log_loss(runs.val_images[1], runs.val.mean(axis=0))
            line = _line(SEEDS, f"{judged.label}, {n} seeds together", n, _alone(together), loss)
            yield line | _gain(together, judged)
    if len(confirmed) > 1:
        yield _greedy(confirmed, best_on_val.judged)


def _greedy(confirmed: Sequence[_Confirmed], best_on_val: Judged) -> Row:
    """Return the line of runs of several methods together, picked on val."""
    first = confirmed[0]
    for runs in confirmed:
        same_images(runs.judged.label, first.val_images, runs.val_images)
        test_images = [(r.judged.image_ids, r.judged.labels) for r in (first, runs)]
        same_images(runs.judged.label, *test_images)
    labels, val = first.val_images[1], np.concatenate([runs.val for runs in confirmed])
    counts = greedy_counts(labels, val)
    together = _as_judged(
        best_on_val, weighted_mean(np.concatenate([runs.test for runs in confirmed]), counts)
    )
    owners = [runs.judged.label for runs in confirmed for _ in runs.judged.seeds]
    picks: Counter[str] = Counter()
    for owner, count in zip(owners, counts.tolist(), strict=True):
        picks[owner] += count
    members = ", ".join(f"{count} {name}" for name, count in picks.most_common() if count)
    n_runs = int(np.count_nonzero(counts))
    n_methods = sum(count > 0 for count in picks.values())
    name = f"{n_runs} runs of {n_methods} method{'s' if n_methods > 1 else ''}"
    loss = balanced_log_loss(labels, weighted_mean(val, counts))
    line = _line(ENSEMBLE, name, n_runs, _alone(together), loss)
    return line | _gain(together, best_on_val) | {"members": members}


def _as_judged(like: Judged, probabilities: Float[np.ndarray, "images classes"]) -> Judged:
    """Return what an ensemble got right, once for each seed of the runs that it is held against."""
    right = (probabilities.argmax(axis=1) == like.labels)[:, None]
    return replace(like, right=np.repeat(right, len(like.seeds), axis=1), logits=(), jackknifed={})


def _alone(together: Judged) -> Joint:
    # One classifier: its spread is over images, and no retraining is known of it.
    return measure([(1.0, together)], together.seeds[:1], lesions=together.clusters)


def _gain(together: Judged, single: Judged) -> dict[str, Any]:
    difference = measure([(1.0, together), (-1.0, single)], single.seeds, lesions=single.clusters)
    return {
        "gain": difference.value,
        "gain_low": difference.images.low,
        "gain_high": difference.images.high,
        "gain_over": single.label,
    }


def _line(show: str, label: str, n_runs: int, score: Joint, val_log_loss: float) -> dict[str, Any]:
    return {
        "show": show,
        "label": label,
        "n_runs": n_runs,
        "balanced_accuracy": score.value,
        "images_low": score.images.low,
        "images_high": score.images.high,
        "over": score.images.over,
        "val_log_loss": val_log_loss,
        "gain": nan,
        "gain_low": nan,
        "gain_high": nan,
        "gain_over": "",
        "members": "",
    }


def _probabilities(
    logits: Float[np.ndarray, "images classes"],
) -> Float[np.ndarray, "images classes"]:
    return np.exp(log_probabilities(logits))


def _text(frame: pd.DataFrame, rule: SelectionRule, notes: Sequence[str]) -> list[Part]:
    parts: list[Part] = [
        "Balanced accuracy on test in %, of single runs (their mean) and of runs together: the "
        f"classifier of their mean probabilities. Configurations selected by {rule.name}.",
        f"Images: 95 % interval over {frame['over'].iloc[0]}.",
        "Gain: of runs together over their mean as single runs; of several methods over the single "
        "runs of the method that is best on val. Its 95 % interval is over images too.",
    ]
    if (frame["show"] == ENSEMBLE).any():
        parts.append(
            "Several methods: runs picked on val one by one, with replacement, by class-balanced "
            "log-loss, as far as that lowers it. By accuracy such a choice overfits a small val."
        )
    header = ("method", "bal.\nacc.", "images", "gain", "its interval", "val\nlog-loss")
    for task, lines in frame.groupby("task", sort=False):
        ordered = lines.sort_values(["balanced_accuracy", "label"], ascending=[False, True])
        records = [{str(k): v for k, v in line.items()} for line in ordered.to_dict("records")]
        parts += ["", str(task), Table(header, [_cells(line) for line in records])]
        parts += [
            f"{line['label']}: {line['members']}; gain over {line['gain_over']}"
            for line in records
            if line["members"]
        ]
    return [*parts, *(["", *(f"Note: {note}." for note in notes)] if notes else [])]


def _cells(line: Row) -> list[str]:
    return [
        line["label"],
        percent(line["balanced_accuracy"]),
        bounds(replace(_UNKNOWN, low=line["images_low"], high=line["images_high"])),
        percent(line["gain"], "+"),
        bounds(replace(_UNKNOWN, low=line["gain_low"], high=line["gain_high"]), "+"),
        f"{line['val_log_loss']:.2f}",
    ]
