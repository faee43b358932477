"""The tables of the ablations in a results folder, to the screen or to a file."""

import shutil
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from lmd_bench.core.errors import unknown
from lmd_bench.core.files import whole_file
from lmd_bench.experiments.ablation.analysis import TaskAnalysis, analyse
from lmd_bench.experiments.ablation.record import AblationRecord, read_records
from lmd_bench.experiments.ablation.scores import read_scores
from lmd_bench.experiments.ablation.table import FORMATS, render
from lmd_bench.leaderboard.studies.group import Row
from lmd_bench.store.store import open_store


def check_format(form: str) -> None:
    """Check the name of a format before anything is trained.

    Raises:
        UserError: no such format.
    """
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)


def read_ablations(
    results: Path, name: str | None = None, clusters: tuple[str, str] | None = None
) -> list[TaskAnalysis]:
    """Return all ablations of a results folder, or those of one name, on each of their tasks.

    Raises:
        UserError: there is none, or what there is cannot be read.
    """
    return analyse_all(results, read_records(results, name), clusters)


def analyse_all(
    results: Path,
    records: Sequence[AblationRecord],
    clusters: tuple[str, str] | None = None,
    rows: Sequence[Row] | None = None,
) -> list[TaskAnalysis]:
    """Return some ablations of a results folder, on each of their tasks.

    Args:
        results: the folder.
        records: the ablations.
        clusters: CSV and column of the lesions of the images; None: each image is its own.
        rows: all rows of the folder, if they are read already.

    Raises:
        UserError: logits are damaged or of different images, or the clusters cannot be used.
    """
    store = open_store(results)
    of_study: dict[str, list[Row]] = defaultdict(list)
    for row in store.rows() if rows is None else rows:
        of_study[row["study"]].append(row)
    return [
        analyse(record, task, read_scores(store, record, task, of_study), clusters)
        for record in records
        for task in record.tasks
    ]


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
    with whole_file(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
