"""What `lmd-bench simulate` prints: to the screen, or for a program."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from lmd_bench.core.errors import UserError, unknown
from lmd_bench.experiments.simulation.simulate import PARTS, Request, Simulation, export, simulate
from lmd_bench.experiments.simulation.table import StudyTable
from lmd_bench.experiments.simulation.text import records, text
from lmd_bench.experiments.simulation.tuners import OVER
from lmd_bench.leaderboard.tables.text import json_value

FORMATS = ("table", "csv", "json")


def print_simulation(
    source: Path, exported: bool, request: Request, form: str, export_to: Path | None = None
) -> None:
    """Replay the trials of a folder and print what came of it; or export them.

    Args:
        source: A results folder, or an exported table.
        exported: Which of the two.
        request: What is replayed.
        form: table, csv or json.
        export_to: Folder to write the tables to, in place of a replay.

    Raises:
        UserError: no such format, a CSV of several parts, or nothing to replay.
    """
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)
    if export_to is not None:
        if exported:
            raise UserError("--export takes the rows of --results; leave out --table.")
        _say_export(export(source, request.methods, export_to), export_to)
        return
    if form == "csv" and len(request.parts) > 1:
        raise UserError(f"A CSV holds one table; name it with --show: {', '.join(PARTS)}.")
    with Console(stderr=True).status("reading") as status:
        found = simulate(source, exported, request, status.update)
    if form == "csv":
        sys.stdout.write(next(iter(found.frames.values())).to_csv(index=False))
        for note in found.notes:
            print(f"Note: {note}.", file=sys.stderr)
        return
    print(_as_json(found) if form == "json" else "\n".join(text(found)))


def _as_json(found: Simulation) -> str:
    data: dict[str, object] = {
        part: [{name: json_value(value) for name, value in line.items()} for line in records(frame)]
        for part, frame in found.frames.items()
    }
    data |= {"intervals": OVER, "notes": list(found.notes)}
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)


def _say_export(tables: Sequence[StudyTable], folder: Path) -> None:
    n = sum(len(table.trials) for table in tables)
    print(
        f"{folder}: {n} trials of {len(tables)} studies, without images, ids, logits or command "
        f"lines; lmd-bench simulate --table {folder} replays them"
    )
