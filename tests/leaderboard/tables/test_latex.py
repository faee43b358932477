import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from lmd_bench.cli.emit import write_leaderboard
from lmd_bench.core.errors import UserError
from lmd_bench.leaderboard.board import Leaderboard, build
from lmd_bench.leaderboard.tables.latex import escaped
from lmd_bench.leaderboard.tables.render import render


@pytest.fixture
def board(study) -> Leaderboard:
    rows = study("lmd", [0.3, 0.5], {1: [0.62, 0.60], 0: [0.50, 0.52]})
    rows += study("tau_norm", [0.3], {0: [0.55, None]})
    rows += study("crt", [0.3], {0: [0.4, 0.4]})
    return build(rows + study("rrl", [0.2, None]))


def test_what_is_not_told_apart_from_the_best_is_bold_and_the_rest_plain(
    board: Leaderboard,
) -> None:
    # Rows alone, without logits, tell nothing apart and mark nothing.
    assert "\\textbf" not in render(board, "latex")

    marked = replace(board, frame=board.frame.assign(with_best=[True, True, False]))
    text = render(marked, "latex")
    rows = {line.split(" &")[0]: line for line in text.splitlines() if " & " in line}

    assert "\\textbf{61.0} $\\pm$ 1.4" in rows["lmd"]
    assert "\\textbf{55.0}" in rows["tau\\_norm"]  # one seed has no spread
    assert rows["crt"].startswith("crt & 40.0 $\\pm$ 0.0")
    assert "Bold: the best of its task, and what is not told apart from it" in text


def test_a_table_is_whole(board: Leaderboard) -> None:
    text = render(board, "latex")

    for name in ("table", "tabular"):
        assert text.count(f"\\begin{{{name}}}") == text.count(f"\\end{{{name}}}") == 1
    assert [text.count(f"\\{rule}rule") for rule in ("top", "mid", "bottom")] == [1, 1, 1]
    rows = [line for line in text.splitlines() if line.endswith("\\\\")]
    assert {line.count("&") for line in rows} == {6}
    plain = re.sub(r"\\.", "", "\n".join(x for x in text.splitlines() if not x.startswith("%")))
    assert plain.count("{") == plain.count("}")
    assert "%" not in plain
    assert "mean $\\pm$ SD over the retraining seeds" in text
    assert "% Note: searched, not confirmed: rrl" in text


def test_signs_of_latex_are_escaped() -> None:
    assert escaped("a_b & 50% {x}") == "a\\_b \\& 50\\% \\{x\\}"
    assert escaped("\\input") == "\\textbackslash{}input"


def test_parquet_holds_every_column_and_a_file_is_whole_or_absent(
    board: Leaderboard, tmp_path: Path
) -> None:
    write_leaderboard(board, "parquet", tmp_path / "board.parquet")

    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "board.parquet"), board.frame)
    write_leaderboard(board, "latex", tmp_path / "board.tex")
    assert (tmp_path / "board.tex").read_text() == render(board, "latex")
    with pytest.raises(UserError, match="cannot be written"):
        write_leaderboard(board, "csv", tmp_path / "absent" / "board.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["board.parquet", "board.tex"]


def test_names_and_notes_of_any_signs_stay_inside_the_table(study) -> None:
    name = 'a_b & 50% {x} #1 $y$ ~z^2 <v> \\input|"q"'
    rows = study(name, [0.3], {0: [0.5, 0.6]}) + study("two\nlines", [0.3])

    text = render(build(rows), "latex")

    assert (
        "a\\_b \\& 50\\% \\{x\\} \\#1 \\$y\\$ \\textasciitilde{}z\\textasciicircum{}2 $<$v$>$ "
        "\\textbackslash{}input$|$''q'' & "
    ) in text
    table_end = text.index("\\end{table}") + len("\\end{table}")
    assert all(line.startswith("% ") for line in text[table_end:].strip().splitlines())
