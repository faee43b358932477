"""What each class was taken for on test: a confusion matrix for each confirmed study."""

import numpy as np

from lmd_bench.core.text import natural_order
from lmd_bench.report.blocks import Cell, Figure, Head, Section, Table, Text, missing, shaded, words
from lmd_bench.report.blocks import row as table_row
from lmd_bench.report.confirmed import Confirmed
from lmd_bench.report.context import Context
from lmd_bench.report.sections._per_task import blocks_of_tasks

_INTRO = (
    "Of the images of each true class (a row), the share in % that was taken for each class (a "
    "column), over all retraining seeds of the selected configuration; n counts the test images. "
    "What is right stands on the outlined diagonal.",
)


def section(context: Context) -> Section | None:
    """Return the matrices of each task; None where nothing is confirmed."""
    blocks = blocks_of_tasks(context, _figure)
    return Section("Confusion matrices", (Text(_INTRO), *blocks)) if blocks else None


def _figure(context: Context, task: str, judged: list[Confirmed]) -> Figure:
    return Figure(
        title="Confusion",
        caption="Shaded by share; empty cells are 0.",
        command=context.redraw("confusion"),
        maps=tuple(_map(task, one) for one in judged),
        task=task,
        size="medium",
    )


def _map(task: str, confirmed: Confirmed) -> Table:
    counts = confirmed.confusion()
    totals = counts.sum(axis=1)
    assert confirmed.n_images is not None, "what has logits has test images"
    names = confirmed.class_names
    order = natural_order(names)
    rows = [
        table_row(
            words(names[number], f"n = {int(confirmed.n_images[number])}"),
            *(
                _share(int(counts[number, column]), int(totals[number]), right=number == column)
                for column in order
            ),
        )
        for number in order
    ]
    n_runs = f"{len(confirmed.judged)} run{'' if len(confirmed.judged) == 1 else 's'}"
    right = 100 * float(np.trace(counts)) / float(counts.sum())
    return Table(
        f"{confirmed.study.label}, {n_runs}, {right:.1f} % of all images right",
        (Head("true \\ taken for"), *(Head(names[i]) for i in order)),
        tuple(rows),
        look="heat",
        task=task,
        method=confirmed.study.label,
    )


def _share(n: int, total: int, *, right: bool) -> Cell:
    if not total:
        return missing()
    cell = shaded(n / total)
    text = cell.text if n else ("0" if right else "")
    return Cell(text, cell.value, "chosen" if right else "", cell.shade)
