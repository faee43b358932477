"""The tables of the ablations in a results folder, to the screen or to a file."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from lmd_bench.core.errors import unknown
from lmd_bench.core.files import asked_file
from lmd_bench.experiments.ablation.analysis import TaskAnalysis
from lmd_bench.experiments.ablation.tables import FORMATS, render


def check_format(form: str) -> None:
    """Check the name of a format before anything is trained.

    Raises:
        UserError: no such format.
    """
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)


def show(found: Sequence[TaskAnalysis], form: str = "table", out: Path | None = None) -> None:
    """Print ablations, or write them to a file, whole or not at all.

    Raises:
        UserError: no such format, or a file that cannot be written.
    """
    width = shutil.get_terminal_size((160, 24)).columns if out is None else None
    text = render(found, form, width)
    if out is None:
        encoding = sys.stdout.encoding or "utf-8"  # what it lacks shows "?", not a traceback
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
        return
    with asked_file(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
