"""How a series is told from the others, never by its colour alone: a dash and a marker as well.

Style n has the colour, dash and marker of the classes `s<n>` in the style sheet.
"""

from markupsafe import Markup

from lmd_bench.report.drawing.canvas import path
from lmd_bench.report.drawing.scale import Number

N_STYLES = 6
_R = 3.4  # radius


def marker(x: Number, y: Number, style: int) -> Markup:
    """Return the marker of a style at a place: circle, square, triangle, diamond, cross or bar."""
    shape = style % N_STYLES
    if shape == 0:
        return Markup('<circle class="mark" cx="{:.1f}" cy="{:.1f}" r="{}"/>').format(x, y, _R)
    if shape == 4:
        places = f"M{x - _R:.1f} {y - _R:.1f}l{2 * _R} {2 * _R}m0 -{2 * _R}l-{2 * _R} {2 * _R}"
        return Markup('<path class="stroke" d="{}"/>').format(places)
    corners = {
        1: [(-1, -1), (1, -1), (1, 1), (-1, 1)],
        2: [(0, -1.2), (1.15, 0.9), (-1.15, 0.9)],
        3: [(0, -1.35), (1.35, 0), (0, 1.35), (-1.35, 0)],
        5: [(0, 1.2), (1.15, -0.9), (-1.15, -0.9)],
    }[shape]
    return path([(x + _R * dx, y + _R * dy) for dx, dy in corners], "mark", closed=True)


def sample(style: int) -> Markup:
    """Return a small drawing of a style for a legend; the words beside it say what it is."""
    return Markup(
        '<svg class="sample s{}" viewBox="0 0 34 12" width="34" height="12" aria-hidden="true">'
        '<line class="curve" x1="1" y1="6" x2="33" y2="6"/>{}</svg>'
    ).format(style % N_STYLES, marker(17, 6, style))
