"""Parallel coordinates, lying: each setting is a line across, each trial runs down through them.

Lying axes leave their names room, on a phone too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan

from markupsafe import Markup

from lmd_bench.report.drawing.bars import shortened
from lmd_bench.report.drawing.canvas import (
    Frame,
    Number,
    Scale,
    drawing,
    line,
    path,
    text,
    tick_text,
)

_GAP, _WIDTH = 46.0, 400.0
_LEFT, _RIGHT, _TOP = 14.0, 14.0, 26.0


@dataclass(frozen=True)
class Setting:
    """An axis: numbers from low to high, or choices."""

    label: str
    low: Number = nan
    high: Number = nan
    log: bool = False
    choices: tuple[str, ...] = ()

    def place(self, value: Number | str | None) -> Number:
        """Return where a value lies between 0 and 1; NaN for what has none."""
        if value is None or value != value:
            return nan
        if self.choices:
            n_others = len(self.choices) - 1
            return self.choices.index(str(value)) / n_others if n_others else 0.5
        return Scale(self.low, self.high, 0.0, 1.0, self.log)(float(value))

    def ends(self) -> tuple[str, str]:
        """Return what stands at both ends."""
        if self.choices:
            return self.choices[0], self.choices[-1]
        return tick_text(float(f"{self.low:.3g}")), tick_text(float(f"{self.high:.3g}"))


@dataclass(frozen=True)
class Track:
    """One trial: a value for each axis."""

    values: Mapping[str, Number | str | None]
    kind: str  # "best", "upper" or "rest"


def parallel_chart(
    name: str, title: str, description: str, settings: Sequence[Setting], tracks: Sequence[Track]
) -> Markup:
    """Return the drawing of trials; a trial has a gap where a setting was not its own."""
    frame = Frame(_WIDTH, _TOP + _GAP * (len(settings) - 1) + 22)
    parts: list[Markup] = []
    for kind in ("rest", "upper", "best"):
        for track in tracks:
            if track.kind == kind:
                parts += _track(track, settings)
    for number, setting in enumerate(settings):
        parts += _axis(setting, _TOP + number * _GAP)
    return drawing(name, title, description, frame, parts)


def _track(track: Track, settings: Sequence[Setting]) -> list[Markup]:
    runs: list[list[tuple[Number, Number]]] = [[]]
    for number, setting in enumerate(settings):
        share = setting.place(track.values.get(setting.label))
        if isnan(share):
            runs.append([])
            continue
        x = _LEFT + share * (_WIDTH - _LEFT - _RIGHT)
        runs[-1].append((x, _TOP + number * _GAP))
    return [path(run, f"track {track.kind}") for run in runs if len(run) > 1]


def _axis(setting: Setting, y: Number) -> list[Markup]:
    first, last = setting.ends()
    end = _WIDTH - _RIGHT
    inner = setting.choices[1:-1]
    ticks = [setting.place(choice) for choice in setting.choices] or [0.0, 1.0]
    places = [_LEFT + share * (end - _LEFT) for share in ticks]
    parts = [line(_LEFT, y, end, y, "axis")]
    parts += [line(x, y - 3, x, y + 3, "axis") for x in places]
    parts.append(
        text(_LEFT, y - 8, setting.label + (" (log)" if setting.log else ""), kind="name halo")
    )
    parts.append(text(_LEFT, y + 14, shortened(first, 18), kind="tick halo"))
    if len(setting.choices) != 1:
        parts.append(text(end, y + 14, shortened(last, 18), "end", "tick halo"))
    if len(inner) <= 3:
        parts += [
            text(x, y + 14, shortened(choice, 12), "middle", "tick halo")
            for x, choice in zip(places[1:-1], inner, strict=False)
        ]
    return parts
