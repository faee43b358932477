"""Differences with their intervals, one below the other, and the line of no difference."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

from markupsafe import Markup

from lmd_bench.report.drawing.bars import shortened
from lmd_bench.report.drawing.canvas import (
    Axis,
    Frame,
    Number,
    drawing,
    extent,
    line,
    marker,
    nice_ticks,
    text,
    tick_text,
)

# A name stands above its line: the drawing is then no wider than a phone, and its text not small.
_ROW = 34.0
_WIDTH = 344.0


@dataclass(frozen=True)
class Difference:
    """One line of a forest: a difference and its interval, all NaN where it is not known."""

    label: str
    value: Number
    low: Number
    high: Number


def forest(
    name: str, title: str, description: str, unit: str, found: Sequence[Difference]
) -> Markup:
    """Return a forest of differences.

    Args:
        name: Unique in the page.
        title: What it shows.
        description: What can be seen in it.
        unit: Of the differences, named below the axis.
        found: In their order; one that is not known is said to be missing.
    """
    frame = Frame(_WIDTH, _ROW * len(found) + 48, left=14, right=14, top=6, bottom=42)
    ends = [0.0, *(end for one in found for end in (one.value, one.low, one.high))]
    ticks = tuple(nice_ticks(*(extent(ends) or (-1.0, 1.0))))
    axis = Axis(unit, ticks, ticks[0], ticks[-1])
    scale, (start, end) = axis.scale(*frame.x_range), frame.x_range
    bottom = frame.y_range[0]
    parts = [line(scale(tick), frame.top, scale(tick), bottom, "grid") for tick in ticks]
    parts += [text(scale(tick), bottom + 15, tick_text(tick), "middle") for tick in ticks]
    parts.append(line(scale(0.0), frame.top, scale(0.0), bottom, "axis"))
    parts.append(text((start + end) / 2, frame.height - 5, unit, "middle", "name"))
    for place, one in enumerate(found):
        middle = frame.top + (place + 0.72) * _ROW
        parts.append(text(start, middle - 10, shortened(one.label, 48), "start", "name halo"))
        if isnan(one.value):
            parts.append(text(scale(0.0) + 6, middle + 3.8, "missing", "start"))
            continue
        whisker = (
            ()
            if isnan(one.low)
            else (line(scale(one.low), middle, scale(one.high), middle, "curve"),)
        )
        dot = (*whisker, marker(scale(one.value), middle, 0))
        parts.append(Markup('<g class="s0">{}</g>').format(Markup("").join(dot)))
    return drawing(name, title, description, frame, parts)
