"""Where the numbers come from: data, versions, devices, seeds, selected rows, commands."""

import json
from collections import Counter
from collections.abc import Sequence

from lmd_bench.core.schema import Row
from lmd_bench.core.text import natural_order
from lmd_bench.leaderboard.studies.group import StudyRows
from lmd_bench.report.blocks import (
    Block,
    Cell,
    Heading,
    Listing,
    Section,
    Table,
    TableRow,
    Text,
    command,
    count,
    key,
    missing,
    words,
)
from lmd_bench.report.blocks import heads as table_heads
from lmd_bench.report.blocks import row as table_row
from lmd_bench.report.context import Context

_INTRO = (
    "Every number above comes from Parquet rows that hold their configuration, seeds, task "
    "fingerprint, versions, device and command. lmd-bench explain prints the lineage of one, and "
    "lmd-bench reproduce runs it again and says whether the same comes out.",
)


def section(context: Context) -> Section:
    """Return what is known of how the rows were made."""
    blocks: list[Block] = [
        Text(_INTRO),
        Heading("Tasks"),
        Listing(_tasks(context), context.redraw("provenance")),
        Heading("Selected configurations"),
        Listing(_selected(context), _explain(context)),
        Heading("Versions and devices"),
        Listing(_versions(context.rows)),
        Heading("Commands"),
        Listing(_commands(context.rows)),
    ]
    return Section("Provenance", tuple(blocks))


def _tasks(context: Context) -> Table:
    rows: list[TableRow] = []
    for task, studies in context.tasks.items():
        members = [row for study in studies for row in study.rows]
        known = next((row for row in members if row["class_names"]), members[0])
        tests = {row["n_test"] for row in members} - {None}
        seeds = sorted({row["seed"] for row in members if row["phase"] == "confirm"})
        names, counts, groups = known["class_names"], known["class_counts"], known["groups"]
        classes = [f"{names[i]} {counts[i]} ({groups[i]})" for i in natural_order(names)]
        rows.append(
            table_row(
                words(task),
                key(known["task_fingerprint"]),
                Cell(str(known["split_seed"]), float(known["split_seed"])),
                count(known["n_train"]),
                count(known["n_val"]),
                count(min(tests)) if tests else missing("closed"),
                words(", ".join(classes)),
                words(", ".join(map(str, seeds))) if seeds else missing("none yet"),
            )
        )
    heads = table_heads(
        *("Task", "Fingerprint", "Split seed", "Train", "Val", "Test"),
        *("Training images by class", "Confirmation seeds"),
    )
    return Table("Tasks: images, splits, seeds", heads, tuple(rows))


def _selected(context: Context) -> Table:
    rows = [
        table_row(
            words(study.label, study.task),
            key(selected["key"]),
            Cell(str(selected["trial_number"]), float(selected["trial_number"])),
            words(", ".join(f"{k}={v}" for k, v in json.loads(selected["config_json"]).items())),
            words(_seeds(study, selected)),
            method=study.label,
        )
        for studies in context.tasks.values()
        for study in studies
        if (selected := study.selected(context.rule)) is not None
    ]
    heads = table_heads("Study", "Row", "Trial", "Configuration", "Training seed")
    return Table(f"What {context.rule.name} selects", heads, tuple(rows))


def _seeds(study: StudyRows, selected: Row) -> str:
    n_confirmed = len(study.ok_runs(selected))
    return f"{selected['seed']}, confirmed by {n_confirmed or 'no'} others"


def _explain(context: Context) -> str:
    for study in context.studies:
        selected = study.selected(context.rule)
        if selected is not None:
            return context.command("explain", selected["key"], rule=False)
    return ""


def _versions(rows: Sequence[Row]) -> Table:
    names = ("package_version", "git_commit", "python_version", "library_versions_json", "device")
    counts = Counter((*(row[name] for name in names), row["n_threads"]) for row in rows)
    found: list[TableRow] = []
    for (package, commit, python, libraries, device, n_threads), n in counts.most_common():
        versions = ", ".join(f"{name} {version}" for name, version in json.loads(libraries).items())
        found.append(
            table_row(
                words(package),
                key(commit) if commit else missing("not recorded"),
                words(python),
                words(versions),
                words(device),
                count(n_threads),
                count(n),
            )
        )
    heads = table_heads(
        *("lmd-bench", "Commit", "Python", "Libraries", "Device", "Threads", "Runs")
    )
    return Table("Versions and devices, and the runs made with them", heads, tuple(found))


def _commands(rows: Sequence[Row]) -> Table:
    counts = Counter(row["command"] for row in rows)
    found = [
        table_row(command(line) if line else missing("not recorded"), count(n))
        for line, n in counts.most_common()
    ]
    return Table("Commands that made the runs", table_heads("Command", "Runs"), tuple(found))
