"""An ablation as text: a terminal table, Markdown, LaTeX, CSV or JSON."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from lmd_bench.core.errors import unknown
from lmd_bench.experiments.ablation.analysis import TaskAnalysis
from lmd_bench.experiments.ablation.frame import ablation_frame
from lmd_bench.experiments.ablation.tables import Sheet, header_lines, notes, sheets
from lmd_bench.leaderboard.tables.latex import escaped
from lmd_bench.leaderboard.tables.text import json_value, text_table

FORMATS = ("table", "markdown", "latex", "csv", "json")


def render(found: Sequence[TaskAnalysis], form: str, width: int | None = None) -> str:
    """Return ablations as text, with a newline at its end.

    Args:
        found: what to show, a table or more for each.
        form: one of `FORMATS`; csv and json carry fractions and every column, csv no notes.
        width: columns of the terminal; a narrow one drops the less needed columns and says which.

    Raises:
        UserError: no such format.
    """
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)
    if form == "csv":
        return ablation_frame(found).to_csv(index=False)
    if form == "json":
        return _json(found)
    makers: dict[str, Callable[[Sheet], list[str]]]
    makers = {"markdown": _markdown, "latex": _latex, "table": lambda sheet: _text(sheet, width)}
    mark = "% " if form == "latex" else ""
    lines: list[str] = []
    said: list[str] = []
    for one in found:
        header = header_lines(one)
        if header != said:
            lines += [*(mark + line for line in header), ""]
            said = header
        for sheet in sheets(one):
            lines += [*makers[form](sheet), ""]
    bullet = {"markdown": "- ", "latex": "% ", "table": "Note: "}[form]
    lines += [f"{bullet}{note}." for note in notes(found)]
    return "\n".join(lines).rstrip() + "\n"


def _text(sheet: Sheet, width: int | None) -> list[str]:
    shown, dropped = list(sheet.header), list(sheet.dropped_first)
    left_out: list[str] = []
    while True:
        places = [sheet.header.index(name) for name in shown]
        lines = text_table(shown, [[row[place] for place in places] for row in sheet.rows])
        if width is None or len(lines[1]) <= width or not dropped:
            break
        left_out.append(dropped.pop(0))
        shown.remove(left_out[-1])
    ends = [f"Too narrow for: {', '.join(left_out)}; see --format csv."] if left_out else []
    return [sheet.title, *lines, *ends]


def _markdown(sheet: Sheet) -> list[str]:
    rules = ["---", *("---:" for _ in sheet.header[1:])]
    rows = [sheet.header, rules, *sheet.rows]
    return [f"### {sheet.title}", "", *(_markdown_row(row) for row in rows)]


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("*", "\\*") for cell in cells) + " |"


def _latex(sheet: Sheet) -> list[str]:
    return [
        "\\begin{table}[t]",
        "\\centering",
        f"\\caption{{{_tex(sheet.title)}}}",
        f"\\begin{{tabular}}{{l{'r' * (len(sheet.header) - 1)}}}",
        "\\toprule",
        " & ".join(_tex(cell) for cell in sheet.header) + " \\\\",
        "\\midrule",
        *(" & ".join(_tex(cell) for cell in row) + " \\\\" for row in sheet.rows),
        "\\bottomrule",
        "\\end{tabular}",
        "\\end{table}",
    ]


def _tex(text: str) -> str:
    return escaped(text).replace("×", "$\\times$").replace("–", "--")


def _json(found: Sequence[TaskAnalysis]) -> str:
    lines: list[dict[str, Any]] = [
        {str(key): json_value(value) for key, value in line.items()}
        for line in ablation_frame(found).to_dict("records")
    ]
    data = {
        "header": list(dict.fromkeys(line for one in found for line in header_lines(one))),
        "rows": lines,
        "notes": notes(found),
    }
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
