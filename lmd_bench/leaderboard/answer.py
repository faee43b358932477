"""What a question to a results folder gives: frames for a program, a text for a person."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd

from lmd_bench.core.errors import unknown
from lmd_bench.leaderboard.studies.rules import SelectionRule
from lmd_bench.leaderboard.tables.text import Part, json_value, lay_out

FORMATS = ("table", "csv", "json")
_WIDTH = 120  # where there is no terminal


@dataclass(frozen=True, eq=False)
class Answer:
    """The answer to one question; `print(answer)` shows the text, a notebook the frame."""

    frames: Mapping[str, pd.DataFrame]  # by their names in JSON; CSV holds the first
    text: Callable[[], Sequence[Part]]  # notes among it
    rule: SelectionRule | None = None  # None: no config was selected by one
    notes: tuple[str, ...] = ()
    data: Mapping[str, Any] | None = None  # JSON in place of the frames

    @property
    def frame(self) -> pd.DataFrame:
        """Return the first frame; scores are fractions."""
        return next(iter(self.frames.values()))

    def render(self, format: str = "table", *, width: int | None = None, part: str = "") -> str:
        """Return the answer as text, with a newline at its end.

        Args:
            format: `table`, `csv` or `json`; CSV has no room for the notes.
            width: Columns of the terminal; None asks it, and takes 120 where there is none.
            part: Name of the frame that CSV holds; empty: the first.

        Raises:
            UserError: no such format or part.
        """
        check_format(format)
        if format == "csv":
            if part and part not in self.frames:
                raise unknown("part", part, self.frames)
            return (self.frames[part] if part else self.frame).to_csv(index=False)
        if format == "json":
            return json.dumps(self._data(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        watermark = [self.rule.watermark] if self.rule and self.rule.watermark else []
        return "\n".join(lay_out([*watermark, *self.text()], width or terminal_width())) + "\n"

    def __str__(self) -> str:
        """Return the text for a terminal."""
        return self.render()

    def _repr_html_(self) -> str:
        return html(self.frame, self.notes, self.rule)

    def _data(self) -> Mapping[str, Any]:
        data: dict[str, Any] = {}
        if self.rule is not None:
            data = {"rule": self.rule.name, "watermark": self.rule.watermark or None}
        if self.data is not None:
            return data | dict(self.data)
        for name, frame in self.frames.items():
            records = frame.to_dict("records")
            data[name] = [{str(k): json_value(v) for k, v in line.items()} for line in records]
        return data | {"notes": list(self.notes)}


def check_format(format: str) -> None:
    """Check the name of a format.

    Raises:
        UserError: there is no such format.
    """
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)


def terminal_width() -> int:
    """Return the columns of the terminal; 120 where there is none."""
    return shutil.get_terminal_size((_WIDTH, 24)).columns


def html(frame: pd.DataFrame, notes: Sequence[str], rule: SelectionRule | None) -> str:
    """Return a frame and its notes as a notebook shows them, the watermark first."""
    text = rule.watermark if rule else ""
    watermark = f"<p><strong>{escape(text)}</strong></p>" if text else ""
    items = "".join(f"<li>{escape(note)}.</li>" for note in notes)
    return watermark + frame.to_html(index=False) + (f"<ul>{items}</ul>" if items else "")
