"""Searches over a range of imbalance factors: scores at each level, and what moves them."""

from lmd_bench.leaderboard.imbalance.interactions import RangeSurface, range_surface
from lmd_bench.leaderboard.imbalance.over_range import (
    RangeLine,
    range_lines,
    range_studies,
    range_text,
)
from lmd_bench.leaderboard.tables import text as tables
from lmd_bench.leaderboard.tables.text import p_value
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
from lmd_bench.report.drawing.canvas import Axis, Frame, extent, percent_axis
from lmd_bench.report.drawing.lines import Series, line_chart

_FRAME = Frame(300, 200)
_N_SETTINGS = 3  # drawn of each study, those that move its score most
_INTRO = (
    "Each study drew the imbalance factor of every trial and chose one configuration for the whole "
    "range, which was retrained at each level.",
    "The drawings show the val score that a surface over hyperparameters and log factor predicts, "
    "for trials with a low, a middle and a high value of a setting. Lines that cross or spread say "
    "that its best value depends on the factor; whether that is more than noise says the test.",
)


def section(context: Context) -> Section | None:
    """Return the studies over ranges; None where there are none."""
    studies = range_studies(context.rows)
    if not studies:
        return None
    lines = range_lines(studies, context.studies, context.rule, context.store)
    surfaces = [found for study in studies if (found := range_surface(study)) is not None]
    blocks: list[Block] = []
    for number, family in enumerate(dict.fromkeys(study.family for study in studies)):
        blocks.append(Heading(family))
        blocks += _tables([line for line in lines if line.study.family == family])
        members = [surface for surface in surfaces if surface.study.family == family]
        for place, surface in enumerate(members):
            blocks.append(_figure(context, f"over-range-{number}-{place}", surface))
    return Section("Over a range of imbalance factors", (Text(_INTRO), *blocks))


def _tables(lines: list[RangeLine]) -> list[Block]:
    captions = ("Test balanced accuracy over the range, %", "At each level, %")
    shown = [part for part in range_text(lines) if isinstance(part, tables.Table)]
    return [
        Listing(
            Table(
                caption,
                table_heads(*table.header),
                tuple(table_row(*(words(cell) for cell in cells)) for cells in table.rows),
            )
        )
        for caption, table in zip(captions, shown, strict=False)
    ]


def _figure(context: Context, name: str, surface: RangeSurface) -> Figure:
    method = surface.study.method
    settings = surface.by_setting()[:_N_SETTINGS]
    values = [100 * y for _, groups in settings for _, means in groups for y in means]
    low, high = surface.factors[0] / 1.15, surface.factors[-1] * 1.15
    axes = (
        Axis("imbalance factor (log)", surface.factors, low, high, True),
        percent_axis(*(extent(values) or (0.0, 100.0))),
    )
    pictures = tuple(
        Picture(
            line_chart(
                f"{name}-{place}",
                f"Val score of {method} against the factor, by {setting}",
                "; ".join(
                    f"{label}: {100 * means[0]:.1f} to {100 * means[-1]:.1f}"
                    for label, means in groups
                ),
                _FRAME,
                axes,
                [
                    Series(label, surface.factors, [100 * y for y in means], style=style)
                    for style, (label, means) in enumerate(groups)
                ],
            ),
            f"{setting}: {', '.join(label for label, _ in groups)}",
            method=method,
        )
        for place, (setting, groups) in enumerate(settings)
    )
    return Figure(
        title=method,
        caption=_said(surface),
        command=context.command("imbalance", "--part", "shares"),
        pictures=pictures,
        legend=(Key("low", 0), Key("middle", 1), Key("high", 2)),
        numbers=(),
    )


def _said(surface: RangeSurface) -> str:
    parts = surface.shares
    shares = ""
    if parts is not None:
        shares = (
            f"Of the variance of the val score {100 * parts.factor:.0f} % is the factor's, "
            f"{100 * parts.hyperparameters:.0f} % the settings', and of both together "
            f"{100 * parts.interaction:.0f} %. "
        )
    if surface.test is None:
        return f"{shares}Too few trials to test whether the best settings depend on the factor."
    named = ", ".join(surface.interacting)
    verdict = f"shown for {named}" if named else "not shown"
    return (
        f"{shares}That the best settings depend on the factor is {verdict} "
        f"(p {p_value(surface.test.p)}, {len(surface.trials)} trials)."
    )
