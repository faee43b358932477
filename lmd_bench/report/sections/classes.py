"""The recall of each class on test: methods against classes, as a heat map with its numbers."""

from collections.abc import Sequence
from dataclasses import replace
from math import isnan

from lmd_bench.core.errors import UserError
from lmd_bench.core.text import natural_order
from lmd_bench.leaderboard.studies.measure import OF_CLASS, measure
from lmd_bench.leaderboard.studies.predictions import read_judged
from lmd_bench.report.blocks import (
    Block,
    Cell,
    Figure,
    Head,
    Heading,
    Section,
    Table,
    Text,
    missing,
    shaded,
    words,
)
from lmd_bench.report.blocks import row as table_row
from lmd_bench.report.confirmed import Confirmed
from lmd_bench.report.context import Context
from lmd_bench.stats.spread import spread

_INTRO = (
    "Recall on test in % of the configuration that each study selected, mean over its retraining "
    "seeds. Under each class: the images it was trained on and, as n, its test images, "
    "each of which is worth 100 / n points. Small below each recall: 95 % over test images (by "
    "lesion or patient, where known) and retrainings together; a dash where it is not known.",
)


def section(context: Context) -> Section | None:
    """Return a heat map for each task; None where nothing is confirmed."""
    blocks: list[Block] = []
    for task, studies in context.tasks.items():
        labels = {study.label for study in studies}
        found = [
            one for one in context.confirmed if one.study.task == task and one.study.label in labels
        ]
        if found:
            blocks += [Heading(task, task=task), _figure(context, task, found)]
    return Section("Recall of each class", (Text(_INTRO), *blocks)) if blocks else None


def _figure(context: Context, task: str, found: Sequence[Confirmed]) -> Figure:
    counts = next((one.n_images for one in found if one.n_images is not None), None)
    with_logits = counts is not None
    first = found[0].selected
    n_test = [
        "not known" if counts is None else str(n)
        for n in (counts if with_logits else first["class_names"])
    ]
    names, groups, n_train = first["class_names"], first["groups"], first["class_counts"]
    heads = [
        Head(
            names[i],
            note=f"{groups[i]} · {n_train[i]:,} train\nn = {n_test[i]}".replace(",", "\u202f"),
        )
        for i in natural_order(names)
    ]
    order = _by_score(found)
    rows = [
        table_row(words(one.study.label), *_cells(context, one), method=one.study.label)
        for one in order
    ]
    unknown = (
        "" if with_logits else " The test images of each class are in logits, and none were kept."
    )
    return Figure(
        title="Recall by class",
        caption="Stronger shades are higher." + unknown,
        command=context.command("intervals", "--by-class")
        if with_logits
        else context.redraw("classes"),
        maps=(
            Table(
                "Recall on test in %",
                (Head("Method"), *heads),
                tuple(rows),
                sortable=True,
                look="heat",
                task=task,
            ),
        ),
        task=task,
    )


def _cells(context: Context, one: Confirmed) -> list[Cell]:
    recall = one.recall()
    if not len(recall):
        return [missing() for _ in one.class_names]
    known = _intervals(context, one)
    names = one.class_names
    return [
        replace(shaded(float(recall[i])), note=known.get(names[i], "–"))
        for i in natural_order(names)
    ]


def _intervals(context: Context, one: Confirmed) -> dict[str, str]:
    """Return the interval of the recall of each class in percent; of no class without logits."""
    try:
        judged = read_judged(context.store, one.study, context.rule)
    except UserError:  # one damaged file costs its intervals, not the report
        judged = None
    if judged is None:
        return {}
    found = {
        name: measure([(1.0, judged)], judged.seeds, OF_CLASS + name, judged.clusters).interval
        for index, name in enumerate(judged.class_names)
        if (judged.labels == index).any()
    }
    return {
        name: f"{max(0.0, 100 * of.low):.0f} to {min(100.0, 100 * of.high):.0f}"
        for name, of in found.items()
        if not isnan(of.low)
    }


def _by_score(found: Sequence[Confirmed]) -> list[Confirmed]:
    def score(one: Confirmed) -> float:
        return spread([row["test_balanced_accuracy"] for row in one.runs]).mean

    return sorted(found, key=lambda one: (-score(one), one.study.label))
