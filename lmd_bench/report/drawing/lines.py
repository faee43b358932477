"""Lines with bands or error bars: curves of several methods in one plot, or one among shadows."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from markupsafe import Markup

from lmd_bench.report.drawing.canvas import (
    N_STYLES,
    Axis,
    Frame,
    Number,
    Scale,
    axes,
    drawing,
    line,
    marker,
    path,
)

Point = tuple[Number, Number]
_MARKER_GAP = 34.0  # between markers of one line


@dataclass(frozen=True)
class Series:
    """A curve: equal numbers of places and values; NaN leaves a gap."""

    label: str
    x: Sequence[Number]
    y: Sequence[Number]
    low: Sequence[Number] = ()  # of the band, or of the bars
    high: Sequence[Number] = ()
    style: int = 0
    bars: bool = False  # error bars in place of a band
    steps: bool = False  # holds its value up to the next place
    muted: bool = False  # a shadow behind the others


def line_chart(
    name: str,
    title: str,
    description: str,
    frame: Frame,
    axes_of: tuple[Axis, Axis],
    series: Sequence[Series],
) -> Markup:
    """Return a plot of curves.

    Args:
        name: Unique in the page.
        title: What it shows.
        description: What can be seen in it.
        frame: Its size.
        axes_of: Of x and y.
        series: The curves; muted ones come lowest, then all bands, then all lines.
    """
    x, y = axes_of
    place_x, place_y = x.scale(*frame.x_range), y.scale(*frame.y_range)
    muted = [one for one in series if one.muted]
    shown = [one for one in series if not one.muted]
    parts = axes(frame, x, y)
    parts += [_muted(one, place_x, place_y) for one in muted]
    parts += [_group(one, _band(one, place_x, place_y)) for one in shown]
    parts += [_group(one, _curve(one, place_x, place_y)) for one in shown]
    return drawing(name, title, description, frame, parts)


def _group(series: Series, parts: Sequence[Markup]) -> Markup:
    return Markup('<g class="s{}" data-method="{}">{}</g>').format(
        series.style % N_STYLES, series.label, Markup("").join(parts)
    )


def _muted(series: Series, x: Scale, y: Scale) -> Markup:
    points = list(zip(series.x, series.y, strict=True))
    return Markup("").join(
        path(run, "muted") for run in _runs(_stepped(points, series.steps), x, y)
    )


def _band(series: Series, x: Scale, y: Scale) -> list[Markup]:
    if not series.low:
        return []
    bounds = list(zip(series.x, series.low, series.high, strict=True))
    if series.bars:
        whole = [(x(at), y(low), y(high)) for at, low, high in bounds if isfinite(low + high)]
        return [
            part
            for at, low, high in whole
            for part in (
                line(at, low, at, high, "stroke"),
                line(at - 3, low, at + 3, low, "stroke"),
                line(at - 3, high, at + 3, high, "stroke"),
            )
        ]
    known = [(at, low, high) for at, low, high in bounds if isfinite(low + high)]
    if len(known) < 2:
        return []
    lower = _stepped([(at, low) for at, low, _ in known], series.steps)
    upper = _stepped([(at, high) for at, _, high in known], series.steps)
    outline = [(x(at), y(value)) for at, value in [*upper, *reversed(lower)]]
    return [path(outline, "band", closed=True)]


def _curve(series: Series, x: Scale, y: Scale) -> list[Markup]:
    points = list(zip(series.x, series.y, strict=True))
    parts = [path(run, "curve") for run in _runs(_stepped(points, series.steps), x, y)]
    known = [(x(at), y(value)) for at, value in points if isfinite(value)]
    return parts + [marker(at, value, series.style) for at, value in _apart(known)]


def _apart(points: Sequence[Point]) -> list[Point]:
    """Return the last point and those before it that keep a distance: others hide the line."""
    chosen: list[Point] = []
    for at, value in reversed(points):
        if not chosen or chosen[-1][0] - at >= _MARKER_GAP:
            chosen.append((at, value))
    return chosen


def _stepped(points: Sequence[Point], steps: bool) -> list[Point]:
    """Return the corners of a line that holds each value up to the next place."""
    if not steps:
        return list(points)
    corners: list[Point] = []
    for at, value in points:
        if corners:
            corners.append((at, corners[-1][1]))
        corners.append((at, value))
    return corners


def _runs(points: Sequence[Point], x: Scale, y: Scale) -> list[list[Point]]:
    """Return the runs of points without a gap between."""
    runs: list[list[Point]] = [[]]
    for at, value in points:
        if isfinite(value):
            runs[-1].append((x(at), y(value)))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if len(run) > 1]
