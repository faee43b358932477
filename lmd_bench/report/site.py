"""A public table: leaderboards, the report, and the results themselves, as a folder of files.

It opens from disk and asks no network. `index.html` holds the leaderboard of each task and encoder
and says of each entry whether rows of it were run again; `report.html` holds curves, ablations and
all else of the report; `results.zip` is a pack, which `lmd-bench verify` looks through.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq

from lmd_bench.core.errors import UserError
from lmd_bench.core.files import whole_folder
from lmd_bench.experiments.verification import verify
from lmd_bench.leaderboard.studies.rules import VAL_BALANCED_ACCURACY, rule_named
from lmd_bench.leaderboard.tables.columns import interval_text, trials_text
from lmd_bench.report.blocks import (
    Block,
    Cell,
    Heading,
    Listing,
    Section,
    Table,
    Text,
    key,
    missing,
    percent,
    words,
)
from lmd_bench.report.blocks import heads as table_heads
from lmd_bench.report.blocks import row as table_row
from lmd_bench.report.context import Context, read_context
from lmd_bench.report.page import check_names, page, render
from lmd_bench.store.merging import Arrival
from lmd_bench.store.packs import copy_hidden, file_hash, write_pack
from lmd_bench.store.reproductions import Record, fitting_records, write_record
from lmd_bench.store.row_files import in_order
from lmd_bench.store.store import REPRODUCTIONS, Store, open_store

INDEX, REPORT, PACK = "index.html", "report.html", "results.zip"
_CALLED = "results"  # the folder that commands on the pages name
_TITLE = "Long-tailed medical image classification"
_FOOT = "A folder of files, no network: it opens from disk."
_INTRO = (
    "Each score comes from stored runs, whose metrics were computed again from their logits before "
    f"this page was made. lmd-bench verify {PACK} does that anew, and lmd-bench verify {PACK} "
    f"--unpack {_CALLED} makes the folder that the commands of these pages name.",
    "Verified: at least one confirmed run of the entry was run again from nothing, by lmd-bench "
    "reproduce, and the same came out, or within the spread of its seeds. The record names the row "
    "and the hashes of both. Not verified says that nobody did so here, not that it is wrong.",
)


@dataclass(frozen=True)
class Published:
    """A site that was written."""

    folder: Path
    n_entries: int
    n_verified: int
    n_rows: int
    arrivals: tuple[Arrival, ...]


def publish(sources: Sequence[Path], to: Path, rule: str = VAL_BALANCED_ACCURACY.name) -> Published:
    """Write the public table of results folders and packs, whole or not at all.

    Args:
        sources: Results folders, and packs of `lmd-bench submit`. Only folders can bring records of
            what was run again: whoever submits does not verify himself.
        to: Folder of the site; an earlier site there is replaced.
        rule: Name of the selection rule.

    Raises:
        UserError: no results in a source, results that do not fit together, or a folder that holds
            something else than a site.
    """
    chosen = rule_named(rule)
    _check_place(to)
    with TemporaryDirectory(prefix="lmd-bench-publish-") as scratch:
        stores = [
            _checked(source, Path(scratch) / f"pack-{number}")
            for number, source in enumerate(sources)
        ]
        root = Path(scratch) / _CALLED
        arrivals = copy_hidden(stores, root)
        store = open_store(root)
        records = {record.key: record for record in fitting_records(root, store)}
        context = replace(read_context(root, chosen), called=_CALLED)
        to.parent.mkdir(parents=True, exist_ok=True)
        with whole_folder(to, replace=True) as folder:
            downloads = _write_files(store, context, records, folder)
            lines = _lines(context)
            marks = {line["study"]: _mark(context, line, records) for line in lines}
            shown = (
                _leaderboards(lines, marks),
                _reproductions(records, context),
                _downloads(downloads),
            )
            names = tuple(section.name for section in shown)
            index = render(context, shown, names, _TITLE, _FOOT)
            (folder / INDEX).write_text(index, encoding="utf-8")
            (folder / REPORT).write_text(page(context, check_names(())), encoding="utf-8")
    n_verified = sum(mark.mark == "best" for mark in marks.values())
    return Published(to, len(lines), n_verified, len(context.rows), tuple(arrivals))


def _check_place(to: Path) -> None:
    if to.is_dir() and any(to.iterdir()) and not (to / PACK).is_file():
        raise UserError(
            f"{to} holds something else than an earlier site; name a new folder, or an empty one."
        )
    if to.exists() and not to.is_dir():
        raise UserError(f"{to} is a file; name a folder with --to.")


def _checked(source: Path, scratch: Path) -> Path:
    """Return a source as a results folder, once it fits together."""
    is_pack = not source.is_dir()
    found = verify(source, into=scratch if is_pack else None)
    if found.faults:
        first = found.faults[0]
        raise UserError(
            f"{source} does not fit together, so it is not published: {first.where}: {first.what}"
            f" ({len(found.faults)} in all); lmd-bench verify {source} lists them."
        )
    return scratch if is_pack else source


def _write_files(
    store: Store, context: Context, records: Mapping[str, Record], folder: Path
) -> list[tuple[str, str, Path]]:
    """Write what can be taken away; return the name, a word on it, and the file of each."""
    # A record that speaks of another row than the one that is published stays out.
    shutil.rmtree(store.root / REPRODUCTIONS, ignore_errors=True)
    write_pack(store, folder / PACK)
    pq.write_table(in_order(store.scan().table), folder / "rows.parquet")
    context.board.frame.to_csv(folder / "leaderboard.csv", index=False)
    for record in records.values():
        write_record(folder, record)
    return [
        ("rows.parquet", "all runs, a row each", folder / "rows.parquet"),
        (PACK, "rows, logits, ablations, and a manifest of hashes", folder / PACK),
        ("leaderboard.csv", "the tables of this page", folder / "leaderboard.csv"),
    ]


def _lines(context: Context) -> list[dict[str, Any]]:
    return [
        {str(name): value for name, value in line.items()}
        for line in context.board.frame.to_dict("records")
    ]


def _mark(context: Context, line: Mapping[str, Any], records: Mapping[str, Record]) -> Cell:
    """Return what is known of running an entry again."""
    runs = [
        row
        for row in context.rows
        if row["phase"] == "confirm"
        and row["study"] == line["study"]
        and row["source_key"] == line["selected_key"]
    ]
    again = [records[row["key"]] for row in runs if row["key"] in records]
    if not again:
        return missing("not verified")
    passed = [record for record in again if record.passed]
    note = f"{len(passed)} of {len(again)} runs, {', '.join({r.verdict for r in again})}"
    if len(passed) < len(again):
        return Cell("came out otherwise", "otherwise", "missing", note=note)
    return Cell("verified", "verified", "best", note=note, link="#reproductions")


def _leaderboards(lines: Sequence[dict[str, Any]], marks: Mapping[str, Cell]) -> Section:
    blocks: list[Block] = [Text(_INTRO)]
    for task in dict.fromkeys(line["task"] for line in lines):
        members = [line for line in lines if line["task"] == task]
        about = f"{members[0]['n_classes']} classes, {members[0]['n_train']:,} train images"
        rows = [
            table_row(
                words(line["label"]),
                marks[line["study"]],
                percent(
                    line["test_balanced_accuracy"],
                    line["test_balanced_accuracy_sd"],
                    "best" if line["with_best"] else "",
                ),
                words(interval_text(line)),
                percent(line["test_macro_f1"], line["test_macro_f1_sd"]),
                percent(line["test_few_recall"], line["test_few_recall_sd"]),
                percent(line["default_test_balanced_accuracy"]),
                Cell(trials_text(line), float(line["n_stage1_trials"] + line["n_trials"])),
                Cell(str(line["n_seeds"]), float(line["n_seeds"])),
                method=line["label"],
            )
            for line in members
        ]
        heads = table_heads(
            *("Method", "Run again", "Bal. acc.", "95 %", "Macro F1", "Few"),
            *("Default", "Trials", "Seeds"),
        )
        caption = (
            "Test, %, mean ± SD over retraining seeds; bold: the best and what is not told apart"
        )
        blocks += [
            Heading(task, about, task),
            Listing(Table(caption, heads, tuple(rows), sortable=True, task=task)),
        ]
    if not lines:
        blocks.append(Text(("No study of these results is confirmed, so none is ranked.",)))
    return Section("Leaderboards", tuple(blocks), "leaderboard")


def _reproductions(records: Mapping[str, Record], context: Context) -> Section:
    rows_by_key = {row["key"]: row for row in context.rows}
    rows = [
        table_row(
            key(record.key),
            words(rows_by_key[record.key]["method"]),
            words(record.verdict, "; ".join(record.outcome[:2])),
            words(f"lmd-bench {record.package_version}, {record.device}"),
            words(record.finished_at[:10]),
            key(record.row_sha256[:20]),
            Cell("record", link=f"{REPRODUCTIONS}/{record.key}.json"),
        )
        for record in records.values()
    ]
    if not rows:
        text = "No row was run again here. lmd-bench reproduce KEY --record does so."
        return Section("Run again", (Text((text,)),), "reproductions")
    heads = table_heads(
        "Row", "Method", "What came out", "With", "On", "SHA-256 of the row", "File"
    )
    table = Table("Rows that were run again from nothing", heads, tuple(rows))
    return Section("Run again", (Listing(table),), "reproductions")


def _downloads(files: Sequence[tuple[str, str, Path]]) -> Section:
    rows = [
        table_row(
            Cell(REPORT, link=REPORT), words("curves, ablations, provenance"), *[missing()] * 2
        )
    ]
    rows += [
        table_row(
            Cell(name, link=name),
            words(what),
            words(f"{path.stat().st_size / 1e6:.1f} MB"),
            key(file_hash(path)),
        )
        for name, what, path in files
    ]
    table = Table(
        "Files of this site", table_heads("File", "What it holds", "Size", "SHA-256"), tuple(rows)
    )
    return Section("Report and downloads", (Listing(table),), "downloads")
