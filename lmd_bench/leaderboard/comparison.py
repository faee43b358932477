"""`lmd-bench compare`: comparisons of methods as a frame and as text."""

from collections.abc import Callable, Sequence
from math import isnan
from typing import Any

import pandas as pd

from lmd_bench.leaderboard.answer import Answer
from lmd_bench.leaderboard.compare import GROUPS, Comparison, TaskComparison
from lmd_bench.leaderboard.studies.measure import direction, in_percent
from lmd_bench.leaderboard.studies.rules import SelectionRule
from lmd_bench.leaderboard.tables.text import Part, Table, bounds, p_value, shown, with_bounds
from lmd_bench.stats.joint import joint_columns, within
from lmd_bench.stats.metrics import PRIMARY


def comparison(
    tasks: Sequence[TaskComparison], rule: SelectionRule, margin: float | None = None
) -> Answer:
    """Return comparisons as a frame and a text.

    Args:
        tasks: As `compare_methods` gives them.
        rule: That selected the configuration of each study.
        margin: Difference that does not matter, as the metric has it; None: nothing is said of it.
    """
    return Answer(
        {"rows": comparison_frame(tasks, rule, margin)},
        lambda: comparison_text(tasks, rule, margin),
        rule,
        tuple(note for task in tasks for note in task.notes),
    )


def comparison_frame(
    tasks: Sequence[TaskComparison], rule: SelectionRule, margin: float | None = None
) -> pd.DataFrame:
    """Return one line per pair and task; differences are fractions, intervals of 95 %."""
    lines = [_line(task.task, pair) for task in tasks for pair in task.comparisons]
    if margin is not None:
        pairs = [pair for task in tasks for pair in task.comparisons]
        lines = [
            line | {"margin": margin, "within_margin": within(pair.tested, margin)}
            for line, pair in zip(lines, pairs, strict=True)
        ]
    return pd.DataFrame(lines).assign(rule=rule.name, watermark=rule.watermark)


def comparison_text(
    tasks: Sequence[TaskComparison], rule: SelectionRule, margin: float | None = None
) -> list[Part]:
    """Return the comparisons for a terminal: one table per task, and what the numbers mean."""
    pairs = [pair for task in tasks for pair in task.comparisons]
    first, metric, n_tests = pairs[0].first, pairs[0].metric, pairs[0].n_tests
    unit = "in points of" if in_percent(metric) else "in"
    turned = "" if direction(metric) > 0 else ", turned so that more is better"
    text: list[Part] = [
        f"{first} less the other, {unit} {metric.replace('_', ' ')} on test{turned}; above 0, "
        f"{first} is better.",
        f"Configurations selected by {rule.name}; runs paired by image and seed.",
        *(f"[ ]: 95 % over {over}." for over in _in_words(pairs)),
    ]
    header = ["against", "difference", f"p Holm ({n_tests})", "false", "detects", "images", "seeds"]
    if margin is not None:
        allowed = f"{100 * margin:g} points" if in_percent(metric) else f"{margin:g}"
        header.insert(2, f"margin {allowed}")
    for task in tasks:
        text += ["", task.task]
        if task.comparisons:
            text.append(Table(header, [_cells(pair, margin) for pair in task.comparisons]))
        if task.comparisons and metric == PRIMARY.name:
            groups = [[pair.other, *map(_of_group(pair), GROUPS)] for pair in task.comparisons]
            text += ["", Table(("against", "many", "medium", "few"), groups)]
        text += [f"Note: {note}." for note in task.notes]
    text += [
        "",
        f"p Holm ({n_tests}): of no difference over images and retrainings, Holm's correction over "
        f"the {n_tests} comparison{'s' if n_tests > 1 else ''} shown. False: the chance that the "
        "method with the higher score is not the better one; from three comparisons on, they tell "
        "how far methods lie apart. Detects: the true difference "
        "that its first step shows with 80 % power. Images: 95 % for these trained models alone; "
        "seeds: on these images alone, by Student's t (number of retrainings). A dash: not known.",
    ]
    if margin is not None:
        text.append(
            f"Margin: what {first} is shown to be by two one-sided tests at 5 %, not corrected for "
            "their number; not shown is no statement. A margin is chosen before looking."
        )
    if metric == PRIMARY.name:
        text.append("Many, medium, few: recall of each third of the classes by training images.")
    held = " ".join(pair.tested.interval.over for pair in pairs)
    over = ", ".join(name for name in ("searches", "splits") if name not in held)
    return [*text, f"None of this holds the spread over {over}{' or ' if over else ''}data sets."]


def _in_words(pairs: Sequence[Comparison]) -> list[str]:
    """Return what the intervals are over: one sentence for each number of seeds and clustering."""
    return list(dict.fromkeys(pair.tested.interval.over for pair in pairs))


def _cells(pair: Comparison, margin: float | None) -> list[str]:
    difference, percent = pair.tested, in_percent(pair.metric)
    seeds = bounds(difference.seeds, "+", in_percent=percent)
    return [
        pair.other,
        with_bounds(difference.value, difference.interval, "+", in_percent=percent),
        *([] if margin is None else [within(difference, margin)]),
        p_value(pair.p_holm),
        "–" if isnan(pair.claim_is_false) else f"{100 * pair.claim_is_false:.0f} %",
        _detects(pair),
        bounds(difference.images, "+", in_percent=percent),
        f"{seeds} ({difference.n_seeds})",
    ]


def _detects(pair: Comparison) -> str:
    percent = in_percent(pair.metric)
    if percent and pair.detectable > 1:
        return "> 100"
    return shown(pair.detectable, in_percent=percent)


def _of_group(pair: Comparison) -> Callable[[str], str]:
    def cell(group: str) -> str:
        difference = pair.differences[group]
        return with_bounds(difference.value, difference.interval, "+")

    return cell


def _line(task: str, pair: Comparison) -> dict[str, Any]:
    line: dict[str, Any] = {
        "task": task,
        "first": pair.first,
        "other": pair.other,
        "n_seeds": len(pair.seeds),
    }
    for name, difference in pair.differences.items():
        line[f"{name}_difference"] = difference.value
        line |= joint_columns(difference, f"{name}_")
    return line | {
        "p_holm": pair.p_holm,
        "claim_is_false": pair.claim_is_false,
        "n_tests": pair.n_tests,
        "detectable": pair.detectable,
        "only_first_right": pair.only_first,
        "only_other_right": pair.only_other,
        "mcnemar_p": pair.mcnemar_p,
        "over": pair.tested.interval.over,
    }
