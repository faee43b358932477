"""`lmd-bench report`: reads a results folder and writes one HTML file."""

from collections.abc import Sequence
from pathlib import Path

from lmd_bench.core.files import whole_file
from lmd_bench.leaderboard.studies.rules import VAL_BALANCED_ACCURACY, rule_named
from lmd_bench.report.context import read_context
from lmd_bench.report.page import check_names, page


def write_report(
    root: Path,
    out: Path,
    rule: str = VAL_BALANCED_ACCURACY.name,
    only: Sequence[str] = (),
) -> None:
    """Write the report of a results folder, whole or not at all.

    Args:
        root: Folder of the results.
        out: File to write.
        rule: Name of the selection rule.
        only: Names of sections; none stands for all.

    Raises:
        UserError: no such rule or section, no results that can be read, or the file cannot be
            written.
    """
    names = check_names(only)
    text = page(read_context(root, rule_named(rule)), names)
    with whole_file(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
