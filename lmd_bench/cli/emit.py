"""The one way in which commands print tables: text, CSV or JSON, notes on stderr beside a CSV."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from lmd_bench.core.errors import UserError
from lmd_bench.core.files import asked_file
from lmd_bench.leaderboard.answer import FORMATS, Answer, check_format
from lmd_bench.leaderboard.studies.rules import SelectionRule
from lmd_bench.leaderboard.tables.render import Leaderboard, render

__all__ = [
    "FORMATS",
    "check_format",
    "check_part",
    "emit",
    "emit_leaderboard",
    "write",
    "write_leaderboard",
]

PARQUET = "parquet"  # to a file alone
_WITHOUT_NOTES = ("csv", PARQUET)  # they have no room for sentences


def emit(answer: Answer, format: str, part: str | None = None) -> None:
    """Print an answer; the watermark and the notes of a CSV go to stderr.

    Args:
        answer: What to print.
        format: table, csv or json.
        part: Name of the frame that CSV holds; None: the first. The other formats hold all.

    Raises:
        UserError: no such format or part, or a part of what holds all.
    """
    check_part(part, format)
    write(answer.render(format, part=part or ""))
    if format in _WITHOUT_NOTES:
        _print_notes(answer.rule, answer.notes)


def check_part(part: str | None, format: str) -> None:
    """Check that a part is asked for only where an answer is not shown whole.

    Raises:
        UserError: it is not, or there is no such format.
    """
    check_format(format)
    if part is not None and format != "csv":
        raise UserError(
            f"--part names what a CSV holds, and --format {format} holds all parts; add "
            "--format csv, or leave --part out."
        )


def emit_leaderboard(board: Leaderboard, format: str, out: Path | None) -> None:
    """Print a leaderboard, or write it to a file.

    Raises:
        UserError: no such format, or a file that cannot be written.
    """
    if out is not None:
        write_leaderboard(board, format, out)
    elif format == PARQUET:
        raise UserError("Parquet is not for the screen; name a file with --out.")
    else:
        color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        write(render(board, format, color=color))
    if format in _WITHOUT_NOTES:
        _print_notes(board.rule, board.notes)


def write_leaderboard(board: Leaderboard, format: str, out: Path) -> None:
    """Write a leaderboard to a file, whole or not at all.

    Raises:
        UserError: the file cannot be written.
    """
    with asked_file(out) as temporary:
        if format == PARQUET:
            board.frame.to_parquet(temporary, index=False)
        else:
            temporary.write_text(render(board, format, width=160), encoding="utf-8")


def write(text: str, out: Path | None = None) -> None:
    """Print a text as it is, or write it to a file, whole or not at all.

    Raises:
        UserError: the file cannot be written.
    """
    if out is not None:
        with asked_file(out) as temporary:
            temporary.write_text(text, encoding="utf-8")
        return
    # a terminal whose encoding lacks a sign shows "?", not a traceback
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))


def _print_notes(rule: SelectionRule | None, notes: Sequence[str]) -> None:
    if rule and rule.watermark:
        print(rule.watermark, file=sys.stderr)
    for note in notes:
        print(f"Note: {note}.", file=sys.stderr)
