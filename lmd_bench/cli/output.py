"""`lmd-bench leaderboard`: to the screen or to a file."""

import os
import sys
from pathlib import Path

from lmd_bench.core.errors import UserError, unknown
from lmd_bench.core.files import asked_file
from lmd_bench.leaderboard.board import Leaderboard, load
from lmd_bench.leaderboard.studies.budget import parse_budget
from lmd_bench.leaderboard.studies.rules import VAL_BALANCED_ACCURACY, rule_named
from lmd_bench.leaderboard.studies.scores import parse_metrics
from lmd_bench.leaderboard.tables.render import FORMATS, render

PARQUET = "parquet"  # to a file alone
_WITHOUT_NOTES = ("csv", PARQUET)  # they have no room for sentences, which go to stderr


def print_leaderboard(
    root: Path,
    form: str = "table",
    rule: str = VAL_BALANCED_ACCURACY.name,
    at_budget: str | None = None,
    out: Path | None = None,
    metrics: str | None = None,
) -> None:
    """Print the leaderboard of a results folder, or write it; the notes of a CSV go to stderr.

    Args:
        root: Folder of the results.
        form: As `render` takes it.
        rule: Name of the selection rule.
        at_budget: What each study may have cost, like `10`, `4h` or `4gpuh`; None: all its trials.
        out: File to write; None prints.
        metrics: Metrics to show in place of the usual ones, between commas; `all` are 15.

    Raises:
        UserError: no such format, rule, budget or metric, or no results that can be read.
    """
    if form not in (*FORMATS, PARQUET):
        raise unknown("format", form, (*FORMATS, PARQUET))
    if form == PARQUET and out is None:
        raise UserError("Parquet is not for the screen; name a file with --out.")
    budget = None if at_budget is None else parse_budget(at_budget)
    chosen = () if metrics is None else parse_metrics(metrics)
    board = load(root, rule_named(rule), budget, chosen)
    if out is not None:
        write_file(board, form, out)
        if form in _WITHOUT_NOTES:
            _print_notes(board)
        return
    color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    text = render(board, form, color=color)
    encoding = sys.stdout.encoding or "utf-8"  # one that lacks a sign shows "?", not a traceback
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    if form in _WITHOUT_NOTES:
        _print_notes(board)


def _print_notes(board: Leaderboard) -> None:
    if board.rule.watermark:
        print(board.rule.watermark, file=sys.stderr)
    for note in board.notes:
        print(f"Note: {note}.", file=sys.stderr)


def write_file(board: Leaderboard, form: str, out: Path) -> None:
    """Write the leaderboard to a file, whole or not at all.

    Raises:
        UserError: the file cannot be written.
    """
    with asked_file(out) as temporary:
        if form == PARQUET:
            board.frame.to_parquet(temporary, index=False)
        else:
            temporary.write_text(render(board, form, width=160), encoding="utf-8")
