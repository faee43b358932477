"""What every drawing is made of: scales, its frame with axes and grid lines, texts, markers."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10
from typing import Literal

from markupsafe import Markup

Number = int | float  # a check of types takes `float` at its word
Anchor = Literal["start", "middle", "end"]
N_STYLES = 6
_R = 3.4  # radius
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Scale:
    """Numbers from `low` to `high` mapped to places from `start` to `end`."""

    low: Number
    high: Number
    start: Number
    end: Number
    log: bool = False

    def __call__(self, value: Number) -> Number:
        """Return the place of a number."""
        low, high, at = (
            (log10(self.low), log10(self.high), log10(value))
            if self.log
            else (self.low, self.high, value)
        )
        share = 0.5 if high == low else (at - low) / (high - low)
        return self.start + share * (self.end - self.start)


@dataclass(frozen=True)
class Axis:
    """One axis: what it shows, from where to where, and the numbers it names."""

    label: str
    ticks: tuple[Number, ...]
    low: Number
    high: Number
    log: bool = False

    def scale(self, start: Number, end: Number) -> Scale:
        """Return the scale of this axis between two places."""
        return Scale(self.low, self.high, start, end, self.log)


@dataclass(frozen=True)
class Frame:
    """The size of a drawing and the margins around its plot, in its own units."""

    width: Number
    height: Number
    left: Number = 44
    right: Number = 12
    top: Number = 12
    bottom: Number = 38

    @property
    def x_range(self) -> tuple[Number, Number]:
        """Return the left and right end of the plot."""
        return self.left, self.width - self.right

    @property
    def y_range(self) -> tuple[Number, Number]:
        """Return the lower and upper end of the plot; y grows downwards."""
        return self.height - self.bottom, self.top


def percent_axis(low: Number, high: Number) -> Axis:
    """Return an axis of percentages that holds two values; it names none below 0 or above 100."""
    ticks = nice_ticks(low, high)
    named = tuple(tick for tick in ticks if 0 <= tick <= 100)
    return Axis("", named, min(low, *named, ticks[-1]), max(high, *named, ticks[0]))


def drawing(
    name: str, title: str, description: str, frame: Frame, parts: Sequence[Markup]
) -> Markup:
    """Return a whole drawing.

    Args:
        name: Unique in the page; ids begin with it.
        title: What it shows, for a screen reader.
        description: What can be seen in it, in a sentence or two.
        frame: Its size.
        parts: What is drawn, the lowest first.
    """
    return Markup(
        '<svg class="drawing" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        'height="{height:.0f}" role="img" aria-labelledby="{name}-t {name}-d">'
        '<title id="{name}-t">{title}</title><desc id="{name}-d">{description}</desc>{body}</svg>'
    ).format(
        width=frame.width,
        height=frame.height,
        name=name,
        title=title,
        description=description,
        body=Markup("").join(parts),
    )


def axes(frame: Frame, x: Axis, y: Axis) -> list[Markup]:
    """Return both axes: grid lines across at each tick of y, ticks of x, labels."""
    (left, right), (bottom, top) = frame.x_range, frame.y_range
    place_x, place_y = x.scale(left, right), y.scale(bottom, top)
    parts: list[Markup] = []
    for tick in y.ticks:
        at = place_y(tick)
        parts.append(line(left, at, right, at, "grid"))
        parts.append(text(left - 6, at + 3.5, tick_text(tick), "end"))
    parts.append(line(left, bottom, right, bottom, "axis"))
    for tick in x.ticks:
        at = place_x(tick)
        parts.append(line(at, bottom, at, bottom + 4, "axis"))
        parts.append(text(at, bottom + 15, tick_text(tick), "middle"))
    if x.label:
        parts.append(text((left + right) / 2, frame.height - 5, x.label, "middle", "name"))
    if y.label:
        middle = (top + bottom) / 2
        parts.append(text(11, middle, y.label, "middle", "name", turned=True))
    return parts


def text(
    x: Number,
    y: Number,
    words: str,
    anchor: Anchor = "start",
    kind: str = "tick",
    turned: bool = False,
) -> Markup:
    """Return a text at a place; turned, it reads upwards."""
    turn = Markup(' transform="rotate(-90 {:.1f} {:.1f})"').format(x, y) if turned else ""
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}"{}>{}</text>').format(
        kind, x, y, anchor, turn, words
    )


def line(x1: Number, y1: Number, x2: Number, y2: Number, kind: str) -> Markup:
    """Return a straight line."""
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(
        kind, x1, y1, x2, y2
    )


def path(points: Sequence[tuple[Number, Number]], kind: str, *, closed: bool = False) -> Markup:
    """Return straight lines through points."""
    places = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return Markup('<path class="{}" d="M{}{}"/>').format(kind, places, "Z" if closed else "")


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


def nice_ticks(low: Number, high: Number, n_most: int = 6) -> list[float]:
    """Return round numbers from at or below `low` to at or above `high`, `n_most` at most.

    Their step is 1, 2, 2.5 or 5 times a power of ten.
    """
    if not (isfinite(low) and isfinite(high)) or high <= low:
        low, high = (low - 0.5, low + 0.5) if isfinite(low) else (0.0, 1.0)
    power = 10.0 ** floor(log10((high - low) / n_most))
    for step in (power * factor for factor in (*_STEPS, *(10 * f for f in _STEPS[1:]))):
        first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
        if last - first < n_most:
            return [round(number * step, 12) for number in range(first, last + 1)]
    raise AssertionError("the largest step always suffices")


def tick_text(value: Number) -> str:
    """Return a number as an axis names it: without needless zeros."""
    return f"{value:.4g}".replace("-", "−")


def extent(values: Sequence[Number]) -> tuple[Number, Number] | None:
    """Return the least and largest of the values that are finite; None where there is none."""
    finite = [value for value in values if isfinite(value)]
    return (min(finite), max(finite)) if finite else None
