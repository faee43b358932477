"""Sections with one figure for each task, of the runs whose logits are there."""

from collections.abc import Callable

from lmd_bench.report.blocks import Block, Figure, Heading, notes
from lmd_bench.report.confirmed import Confirmed, lacking
from lmd_bench.report.context import Context

Draw = Callable[[Context, str, list[Confirmed]], Figure]


def blocks_of_tasks(context: Context, draw: Draw) -> list[Block]:
    """Return heading, figure and notes on what is missing of each task with confirmed runs."""
    blocks: list[Block] = []
    for task in context.tasks:
        found = [one for one in context.confirmed if one.study.task == task]
        judged = [one for one in found if one.judged]
        if not found:
            continue
        blocks.append(Heading(task, task=task))
        if judged:
            blocks.append(draw(context, task, judged))
        blocks += notes(lacking(found))
    return blocks
