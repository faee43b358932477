"""The curve of a corruption sweep as one SVG file that stands alone."""

from pathlib import Path

import numpy as np
import pandas as pd
from markupsafe import Markup

from lmd_bench.report.drawing.canvas import (
    N_STYLES,
    Axis,
    Frame,
    drawing,
    extent,
    percent_axis,
    text,
)
from lmd_bench.report.drawing.lines import Series, line_chart

_STYLE = Path(__file__).parent / "templates" / "style.css"
_FRAME = Frame(560, 360)
_LINE, _SAMPLE = 18, 26  # of the legend: height of a line, place of its words


def corruption_curve(frame: pd.DataFrame) -> str:
    """Return an SVG: score against strength, a plot for each method, a line for each corruption.

    Args:
        frame: As the sweep gives it; scores are fractions.
    """
    place = Markup('<g transform="translate(0 {})">{}</g>')
    charts, kinds = corruption_charts(frame, "m"), corruptions_of(frame)
    parts = [
        place.format(number * _FRAME.height, chart) for number, chart in enumerate(charts.values())
    ]
    top = len(charts) * _FRAME.height
    for style, kind in enumerate(kinds):
        at = top + _LINE * (style + 1)
        sample = Markup('<g class="s{}"><line class="curve" x1="44" y1="{}" x2="64" y2="{}"/></g>')
        parts.append(sample.format(style % N_STYLES, at - 4, at - 4))
        parts.append(text(44 + _SAMPLE, at, kind))
    height = top + _LINE * (len(kinds) + 1)
    style = Markup("<style>{}</style>").format(Markup(_STYLE.read_text("utf-8")))
    whole = drawing(
        *("sweep", "Corrupted test images", "Balanced accuracy in % against strength."),
        Frame(_FRAME.width, height),
        [style, *parts],
    )
    return str(whole).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) + "\n"


def corruptions_of(frame: pd.DataFrame) -> list[str]:
    """Return the corruptions of a sweep, each of which has the style of its place."""
    return [str(kind) for kind in frame.loc[frame["strength"] > 0, "corruption"].unique()]


def corruption_charts(frame: pd.DataFrame, name: str, size: Frame = _FRAME) -> dict[str, Markup]:
    """Return the plot of each method: score against strength, a line for each corruption.

    Args:
        frame: As the sweep gives it; scores are fractions.
        name: Unique in the page.
        size: Of a plot.
    """
    low, high = extent([*frame["score_low"], *frame["score_high"], *frame["score"]]) or (0.0, 1.0)
    y = percent_axis(100 * low, 100 * high)
    charts: dict[str, Markup] = {}
    for number, method in enumerate(map(str, frame["method"].unique())):
        of_method = frame[frame["method"] == method]
        clean = of_method[of_method["strength"] == 0]
        series = [
            _series(kind, pd.concat([clean, of_method[of_method["corruption"] == kind]]), style)
            for style, kind in enumerate(corruptions_of(frame))
        ]
        x = Axis(f"{method}: strength, 0 is clean", (0, 1, 2, 3, 4, 5), 0, 5)
        title = f"{name}{number}"
        charts[method] = line_chart(title, method, "balanced accuracy, %", size, (x, y), series)
    return charts


def _series(kind: str, lines: pd.DataFrame, style: int) -> Series:
    values = (
        100 * lines[name].to_numpy(np.float64) for name in ("score", "score_low", "score_high")
    )
    score, low, high = (list(map(float, of)) for of in values)
    return Series(kind, lines["strength"].tolist(), score, low, high, style, bars=True)
