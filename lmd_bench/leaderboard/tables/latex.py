r"""The leaderboard as LaTeX: one booktabs table a task; in bold what leads it.

Needs `\usepackage{booktabs}` alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

from lmd_bench.leaderboard.tables.columns import MARKED, TUNED, Score, board_scores, interval_text
from lmd_bench.stats.metrics import PRIMARY, Metric
from lmd_bench.store.metrics import known_metrics

Line = dict[str, Any]
_ESCAPES = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    **{"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"},
    **{"·": "$\\cdot$", "±": "$\\pm$", "≥": "$\\geq$", "≤": "$\\leq$", "↓": "$\\downarrow$"},
    **{"<": "$<$", ">": "$>$", "|": "$|$", "–": "--", "×": "$\\times$", '"': "''"},
}


@dataclass(frozen=True)
class _Column:
    header: str
    name: str  # of the column of the leaderboard's frame
    has_spread: bool
    higher_is_better: bool = True
    percent: bool = True

    def shown(self, value: float) -> str:
        """Return a value as the table shows it."""
        return f"{100 * value:.1f}" if self.percent else f"{value + 0.0:.3f}"


def latex(
    lines: Sequence[Line], metrics: Sequence[str], header: Sequence[str], notes: Sequence[str]
) -> str:
    """Return a table for each task.

    Args:
        lines: Of the leaderboard.
        metrics: That were asked for; empty: the usual ones.
        header: sentences for the caption: what the numbers are, over what their spread is.
        notes: sentences that follow as comments.
    """
    tasks = dict.fromkeys(line["task"] for line in lines)
    scores = tuple(map(_asked, metrics)) or tuple(map(_usual, board_scores()))
    tables = [
        _table(task, [line for line in lines if line["task"] == task], scores, header)
        for task in tasks
    ]
    comments = [*([] if lines else header), *notes]
    return "\n".join([*tables, *(f"% {' '.join(comment.split())}" for comment in comments)]) + "\n"


def escaped(text: str) -> str:
    """Return text with every sign that LaTeX would read as a command escaped."""
    return "".join(_ESCAPES.get(sign, sign) for sign in text)


def _asked(name: str) -> _Column:
    return _column(known_metrics()[name], name.replace("_", " "), f"test_{name}", has_spread=True)


def _usual(score: Score) -> _Column:
    words = "default" if score.of_default else score.short
    return _column(score.metric, words, score.name, has_spread=score.has_spread)


def _column(metric: Metric, words: str, name: str, *, has_spread: bool) -> _Column:
    header = escaped(words + ("" if metric.higher_is_better else " ↓"))
    header = header.replace(". ", ".\\ ")  # the point of an abbreviation ends no sentence
    return _Column(header, name, has_spread, metric.higher_is_better, metric.percent)


def _table(
    task: str, lines: Sequence[Line], scores: Sequence[_Column], header: Sequence[str]
) -> str:
    rows = [
        " & ".join([escaped(line["label"])] + [_cell(line, score) for score in scores])
        for line in lines
    ]
    is_marked = any(line["with_best"] for line in lines) and TUNED.name in {s.name for s in scores}
    marked = [f"Bold: {MARKED}"] if is_marked else []
    caption = escaped(" ".join([f"{task}.", *header, *marked]))
    heads = " & ".join(["Method", *(score.header for score in scores)])
    return "\n".join(
        [
            "\\begin{table}[t]",
            "\\centering",
            f"\\caption{{{caption}}}",
            f"\\begin{{tabular}}{{l{'r' * len(scores)}}}",
            "\\toprule",
            f"{heads} \\\\",
            "\\midrule",
            *(f"{row} \\\\" for row in rows),
            "\\bottomrule",
            "\\end{tabular}",
            "\\end{table}",
        ]
    )


def _cell(line: Line, score: _Column) -> str:
    value = line[score.name]
    if isnan(value):
        return "--"
    text = score.shown(value)
    text = f"\\textbf{{{text}}}" if score.name == TUNED.name and line["with_best"] else text
    sd = line[f"{score.name}_sd"] if score.has_spread else float("nan")
    text = text if isnan(sd) else f"{text} $\\pm$ {score.shown(sd)}"
    interval = interval_text(line) if score.name == f"test_{PRIMARY.name}" else "–"
    return text if interval == "–" else f"{text} {interval}"
