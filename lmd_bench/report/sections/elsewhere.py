"""Models on images that they were not confirmed on: other data sets, corrupted test images."""

from lmd_bench.experiments.evaluation.stored import Evaluation, stored_evaluations
from lmd_bench.leaderboard.answer import Answer
from lmd_bench.report.blocks import (
    Block,
    Figure,
    Heading,
    Key,
    Listing,
    Picture,
    Section,
    Table,
    Text,
    words,
)
from lmd_bench.report.blocks import heads as table_heads
from lmd_bench.report.blocks import row as table_row
from lmd_bench.report.context import Context
from lmd_bench.report.corruption_curve import corruption_charts, corruptions_of
from lmd_bench.report.drawing.canvas import Frame

_FRAME = Frame(344, 240)
_INTRO = (
    "Confirmed models were shown other images. Nothing was trained and nothing was chosen on them, "
    "and no leaderboard counts them."
)


def section(context: Context) -> Section | None:
    """Return what `evaluate` has left; None where it has left nothing."""
    found = stored_evaluations(context.store, context.rows)
    blocks: list[Block] = []
    for number, evaluation in enumerate(found):
        blocks.append(Heading(f"{evaluation.task}: {evaluation.images}", task=evaluation.task))
        if evaluation.answer is None:
            blocks.append(Text((evaluation.missing,), "missing"))
        else:
            blocks += _blocks(context, evaluation, evaluation.answer, f"elsewhere-{number}-")
    return Section("On other images", (Text((_INTRO,)), *blocks)) if blocks else None


def _blocks(context: Context, evaluation: Evaluation, answer: Answer, name: str) -> list[Block]:
    """Return the parts of an answer in their order, and the curve of a sweep."""
    blocks: list[Block] = []
    said: list[str] = []  # it goes with the table that follows, which a filter may hide
    for part in answer.text():
        if isinstance(part, str):
            said.append(part)
            continue
        rows = (table_row(*(words(cell) for cell in cells)) for cells in part.rows)
        caption = " ".join(said) or part.header[0]
        heads = table_heads(*part.header)
        blocks.append(Listing(Table(caption, heads, tuple(rows), task=evaluation.task)))
        said = []
    if "corruption" in answer.frame.columns:
        blocks.append(_curve(context, evaluation, answer, name))
    return blocks


def _curve(context: Context, evaluation: Evaluation, answer: Answer, name: str) -> Figure:
    charts = corruption_charts(answer.frame, name, _FRAME)
    kinds = enumerate(corruptions_of(answer.frame))
    return Figure(
        title="Score against strength",
        caption="Balanced accuracy on test in %; bars are 95 % over test images and retrainings.",
        command=context.command("evaluate", *evaluation.keys, "--corrupt", rule=False),
        pictures=tuple(
            Picture(chart, method, evaluation.task, method) for method, chart in charts.items()
        ),
        legend=tuple(Key(kind, style) for style, kind in kinds),
        task=evaluation.task,
    )
