"""Lying bars, each with its name before it and its number behind it."""

from collections.abc import Sequence

from markupsafe import Markup

from lmd_bench.report.drawing.canvas import Frame, Number, Scale, drawing, text

_ROW, _BAR = 21.0, 11.0


def bar_chart(
    name: str, title: str, description: str, bars: Sequence[tuple[str, Number]], width: Number = 400
) -> Markup:
    """Return bars of shares in [0, 1], the number in % at the end of each.

    Args:
        name: Unique in the page.
        title: What it shows.
        description: What can be seen in it.
        bars: Name and share, in their order.
        width: Of the drawing.
    """
    frame = Frame(width, _ROW * len(bars) + 4, left=0.47 * width, right=42, top=2, bottom=2)
    start, end = frame.x_range
    scale = Scale(0.0, 1.0, start, end)
    parts: list[Markup] = []
    for place, (label, share) in enumerate(bars):
        top = frame.top + place * _ROW
        middle = top + _ROW / 2 + 3.8
        parts.append(text(start - 8, middle, shortened(label, 30), "end", "name"))
        parts.append(
            Markup(
                '<rect class="bar" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>'
            ).format(start, top + (_ROW - _BAR) / 2, max(scale(share) - start, 0.8), _BAR)
        )
        parts.append(text(scale(share) + 6, middle, f"{100 * share:.0f} %", "start"))
    return drawing(name, title, description, frame, parts)


def shortened(label: str, n_most: int) -> str:
    """Return a label of `n_most` signs at most; a longer one loses its middle."""
    if len(label) <= n_most:
        return label
    head = (n_most - 1) // 2
    return f"{label[:head]}…{label[-(n_most - 1 - head) :]}"
