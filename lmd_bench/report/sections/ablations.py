"""What each part of a method brings: the ablations of the results folder."""

from math import isnan

from lmd_bench.experiments.ablation.analysis import Effect, TaskAnalysis, analyse_all
from lmd_bench.experiments.ablation.record import read_records
from lmd_bench.experiments.ablation.tables import Sheet, header_lines, notes, sheets
from lmd_bench.leaderboard.studies.group import ablated_studies
from lmd_bench.report.blocks import (
    Block,
    Figure,
    Heading,
    Listing,
    Picture,
    Section,
    Table,
    Text,
    missing,
    words,
)
from lmd_bench.report.blocks import heads as table_heads
from lmd_bench.report.blocks import notes as note_blocks
from lmd_bench.report.blocks import row as table_row
from lmd_bench.report.context import Context
from lmd_bench.report.drawing.forest import Difference, forest


def section(context: Context) -> Section | None:
    """Return the tables of all ablations; None where the folder has none."""
    root = context.store.root
    if not ablated_studies(root):
        return None
    analyses = analyse_all(root, read_records(root), rows=context.rows)
    blocks: list[Block] = []
    for number, analysis in enumerate(analyses):
        command = context.command("ablate", analysis.record.name, "--table", rule=False)
        blocks.append(Heading(f"{analysis.record.title} · {analysis.task.label}"))
        blocks.append(Text(tuple(header_lines(analysis))))
        if analysis.changes:
            blocks.append(_figure(f"ablation-{number}", analysis, command))
        blocks += [Listing(_table(sheet), command) for sheet in sheets(analysis)]
        blocks += note_blocks([f"{note}." for note in notes([analysis])])
    return Section("Ablations", tuple(blocks))


def _figure(name: str, analysis: TaskAnalysis, command: str) -> Figure:
    reference = analysis.cells[analysis.record.reference].cell.title
    title = f"Change of test balanced accuracy against {reference}, {analysis.task.label}"
    lines = [_difference(analysis, effect) for effect in analysis.changes]
    said = "; ".join(
        f"{line.label}: {'missing' if isnan(line.value) else f'{line.value:+.1f}'}"
        for line in lines
    )
    unit = f"points of balanced accuracy against {reference}"
    return Figure(
        title="What each cell changes",
        caption=f"Test, in points; lines are 95 % intervals over {analysis.over} and retrainings "
        "together, paired.",
        command=command,
        pictures=(Picture(forest(name, title, said, unit, lines), ""),),
    )


def _difference(analysis: TaskAnalysis, effect: Effect) -> Difference:
    interval = effect.primary.interval
    ends = (effect.primary.value, interval.low, interval.high)
    return Difference(analysis.cells[effect.contrast.name].cell.title, *(100 * end for end in ends))


def _table(sheet: Sheet) -> Table:
    rows = [
        table_row(*(words(cell) if cell else missing("") for cell in cells)) for cells in sheet.rows
    ]
    return Table(sheet.title, table_heads(*sheet.header), tuple(rows))
