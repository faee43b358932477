"""Curves of several methods: in one plot where styles suffice, else a plot for each method."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from lmd_bench.report.blocks import Key, Picture
from lmd_bench.report.drawing.canvas import N_STYLES, Axis, Frame
from lmd_bench.report.drawing.lines import Series, line_chart

_TOGETHER = Frame(440, 270)
_APART = Frame(230, 150, left=38, bottom=36)
_N_OF_SHADOW = 12  # points: all of them in every picture would fill the file


def are_together(series: Sequence[Series]) -> bool:
    """Return whether the curves fit one plot."""
    return len(series) <= N_STYLES


def legend(series: Sequence[Series]) -> tuple[Key, ...]:
    """Return the legend of a plot of all curves; none where each has its own."""
    return tuple(Key(curve.label, curve.style) for curve in series) if are_together(series) else ()


def curves(
    name: str,
    title: str,
    axes: tuple[Axis, Axis],
    series: Sequence[Series],
    said: Callable[[Series], str],
    task: str = "",
) -> tuple[Picture, ...]:
    """Return one picture of all curves, or one for each with the others as shadows.

    Args:
        name: Unique in the page.
        title: What the curves show.
        axes: Of x and y.
        series: The curves.
        said: What can be seen in one, in words.
        task: That the curves are of; empty: of several.
    """
    if are_together(series):
        description = "; ".join(map(said, series))
        return (Picture(line_chart(name, title, description, _TOGETHER, axes, series), "", task),)
    pictures: list[Picture] = []
    for number, one in enumerate(series):
        shadows = [_shadow(other) for other in series if other is not one]
        svg = line_chart(
            f"{name}-{number}",
            f"{one.label}: {title}",
            said(one),
            _APART,
            axes,
            [*shadows, replace(one, style=0)],
        )
        pictures.append(Picture(svg, one.label, task, one.label))
    return tuple(pictures)


def _shadow(series: Series) -> Series:
    chosen = np.unique(np.linspace(0, len(series.x) - 1, _N_OF_SHADOW).round().astype(int))
    x, y = ([values[i] for i in chosen] if len(values) else [] for values in (series.x, series.y))
    return Series(series.label, x, y, muted=True)
