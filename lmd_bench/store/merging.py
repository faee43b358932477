"""Joins results folders of several sites in one, by the keys of their rows.

The row of a key that comes first stays. One that came out otherwise elsewhere is reported and set
aside in `conflicts/`. A source's rows arrive in one compacted file, after their logits and the
models that their runs kept: killed half-way, the same command goes on, and repeated it changes
nothing.
"""

import filecmp
import hashlib
import json
import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmd_bench.core.errors import UserError
from lmd_bench.core.files import asked_file, whole_file, whole_folder
from lmd_bench.core.schema import Row
from lmd_bench.core.text import task_label
from lmd_bench.store.columns import COLUMNS
from lmd_bench.store.compaction import part_later, write_compacted
from lmd_bench.store.differences import OUTCOME, differences, logit_differences
from lmd_bench.store.from_logits import filled
from lmd_bench.store.models import encoder_of_model, kept_models
from lmd_bench.store.reproductions import fitting_records
from lmd_bench.store.row_files import write_table
from lmd_bench.store.store import FOLDER as ABLATIONS
from lmd_bench.store.store import REPRODUCTIONS, Store, open_store

_KIND = re.compile(r"[A-Za-z_]\w*(?=:)")  # of an exception: what follows may name files
_REMARK = "cause"  # what a failure was called: a text of this machine, not an outcome


@dataclass(frozen=True)
class Conflict:
    """A key with two values."""

    row: Row  # as it came from the source; the one that was there first stays
    score: str  # the column that differs most; empty where no number does
    size: float  # by how much; NaN where no number differs
    details: tuple[str, ...]
    file: Path  # where it was set aside


LogitsOf = Literal["all", "test", "tuned"]


@dataclass(frozen=True)
class Arrival:
    """What came of one source."""

    source: Path
    n_rows: int
    n_new: int
    conflicts: tuple[Conflict, ...]
    damaged: tuple[Path, ...]


def merge(
    sources: Sequence[Path],
    into: Path,
    *,
    private: bool = False,
    logits: LogitsOf = "all",
    studies: Sequence[str] = (),
) -> list[Arrival]:
    """Add the rows of results folders, their logits and what ablations they are of, to another one.

    Args:
        sources: Results folders; they are only read.
        into: Results folder, made where there is none.
        private: Leave out logits with their image ids, kept models, command lines, names of
            machines and what failures say; what the logits say of metrics and of images of each
            class stays in the rows.
        logits: All, or those on test alone: no score on test needs those on val, which are many;
            or of those on test the ones of tuned configurations alone, so intervals of defaults,
            and what tuning gains on them, are no longer known.
        studies: Bring only rows of studies whose id holds one of these texts; all, if empty.

    Raises:
        UserError: no results in a source, no such study, the same folder twice, or rows of a later
            package.
    """
    places = [path.resolve() for path in (*sources, into)]
    if len(set(places)) < len(places):
        raise UserError("A results folder is named twice; name each source once, and another one.")
    stores = [_opened(source) for source in sources]
    for text in studies:
        if not any(_of_studies(store.scan(["study"]).table, [text]).num_rows for store in stores):
            raise UserError(
                f"No study in {', '.join(map(str, sources))} has an id that holds '{text}'; "
                "the column study of their rows has the ids."
            )
    target = open_store(into, create=True)
    return [_take(store, target, private, logits, studies) for store in stores]


def describe_tasks(store: Store) -> list[str]:
    """Return a line for each task of a store, and say where one exists with several fingerprints.

    Rows of two fingerprints were made on other images or other splits: they are never compared.
    """
    names = ("dataset", "protocol", "imbalance_factor", "split_seed", "image_size", "n_max")
    rows: list[Row] = store.scan((*names, "task_fingerprint")).table.to_pylist()
    n_rows: dict[tuple[object, ...], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    labels: dict[str, str] = {}
    for row in rows:
        n_rows[tuple(row[name] for name in names)][row["task_fingerprint"]] += 1
        labels[row["task_fingerprint"]] = task_label(row)
    lines: list[str] = []
    for fingerprints in n_rows.values():
        lines += [
            f"task {labels[fingerprint]}: {n} row{'' if n == 1 else 's'}"
            for fingerprint, n in sorted(fingerprints.items())
        ]
        if len(fingerprints) > 1:
            lines.append(
                f"  these {len(fingerprints)} differ in their images or splits, so they stay apart"
            )
    return lines


def stripped(table: pa.Table) -> pa.Table:
    """Return rows without what tells of a site: commands, machines, and what failures say."""
    kinds = [_KIND.match(cause) for cause in table["cause"].to_pylist()]
    causes = [kind[0] if kind else "" for kind in kinds]
    none = [None] * table.num_rows
    for name, values in (
        ("cause", causes),
        ("command", [""] * table.num_rows),
        ("host", none),
        ("gpu_uuid", none),
    ):
        at = table.schema.get_field_index(name)
        table = table.set_column(at, COLUMNS.field(name), pa.array(values, pa.string()))
    return table


def _opened(source: Path) -> Store:
    store = open_store(source)
    later = part_later([*store.singles(), *store.compacted()])[1]
    if later:
        raise UserError(
            f"{source} holds rows of a later lmd-bench ({later[0].name}) with columns that this "
            "one would lose; merge with that version."
        )
    return store


def _take(
    store: Store, target: Store, private: bool, logits: LogitsOf, studies: Sequence[str]
) -> Arrival:
    scan = store.scan()
    asked = _of_studies(scan.table, studies) if studies else scan.table
    rows = stripped(filled(asked, store)) if private else asked
    # With all columns: a row that is damaged in one of them counts as missing, so it arrives anew.
    here = target.scan().table
    keys_here = set(here["key"].to_pylist())
    told = set[str]() if private else {r.key for r in fitting_records(target.root, target)}
    _copy_ablations(store, target, private)
    _copy_reproductions(store, target)
    new = np.array([key not in keys_here for key in rows["key"].to_pylist()], dtype=bool)
    arriving = rows.filter(pa.array(new)).combine_chunks()
    left = _of_defaults(rows) if logits == "tuned" else set[str]()

    def bring(key: str) -> None:
        # A record of `reproduce` holds the hash of all logits that are here: more would undo it.
        if key not in left and key not in told:
            copy_logits(store, target, key, logits)
        _copy_models(store, target, key)

    if not private:
        for key in arriving["key"].to_pylist():
            bring(key)
    if arriving.num_rows:
        write_compacted(arriving, target.root)
    repeated = rows.filter(pa.array(~new)).to_pylist()
    conflicts = _conflicts(repeated, here, store, target, None if private else bring)
    return Arrival(store.root, rows.num_rows, arriving.num_rows, conflicts, scan.damaged)


def _copy_ablations(store: Store, target: Store, private: bool) -> None:
    """Bring what the cells of ablations stand for: without it they would pass for methods."""
    for path in sorted((store.root / ABLATIONS).glob("[!.]*.json")):
        final = target.root / ABLATIONS / path.name
        if final.exists():
            continue
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            record |= {"command": ""} if private else {}
        except (OSError, ValueError, TypeError):  # damaged, and its rows are there all the same
            continue
        with asked_file(final) as temporary:
            final.parent.mkdir(exist_ok=True)
            temporary.write_text(json.dumps(record, indent=1, ensure_ascii=False), encoding="utf-8")


def _copy_reproductions(store: Store, target: Store) -> None:
    """Bring what came of running rows again; a record speaks of the row whose hashes it holds."""
    for path in sorted((store.root / REPRODUCTIONS).glob("[!.]*.json")):
        final = target.root / REPRODUCTIONS / path.name
        if not final.exists():
            final.parent.mkdir(exist_ok=True)
            _copy(path, final)


def _of_studies(rows: pa.Table, texts: Sequence[str]) -> pa.Table:
    asked = [any(text in study for text in texts) for study in rows["study"].to_pylist()]
    return rows.filter(pa.array(asked, pa.bool_())).combine_chunks()


def _of_defaults(rows: pa.Table) -> set[str]:
    """Return the confirmed runs of defaults, where the default is not what was chosen."""
    names = ("key", "study", "phase", "is_default")
    confirmed = [row for row in rows.select(names).to_pylist() if row["phase"] == "confirm"]
    tuned = {row["study"] for row in confirmed if not row["is_default"]}
    return {row["key"] for row in confirmed if row["is_default"] and row["study"] in tuned}


def _conflicts(
    rows: Sequence[Row],
    here: pa.Table,
    store: Store,
    target: Store,
    bring: Callable[[str], None] | None,
) -> tuple[Conflict, ...]:
    """Set the rows aside that came out otherwise than those of their keys that are there.

    Args:
        rows: Of `store`, whose keys are in `target`.
        here: The rows of `target`.
        store: The source.
        target: Where they go.
        bring: Brings what belongs to a key; None: of private results nothing is brought.
    """
    keys = {row["key"] for row in rows}
    mask = np.array([key in keys for key in here["key"].to_pylist()], dtype=bool)
    kept = {row["key"]: row for row in here.filter(pa.array(mask)).to_pylist()}
    conflicts: list[Conflict] = []
    for row in rows:
        key = row["key"]
        both = {name: None if row[name] is None else value for name, value in kept[key].items()}
        details = [d for d in differences(both, row) if not d.startswith(_REMARK)]
        if bring is not None:
            details += _differing_logits(store, target, key)
        if details:
            file = _set_aside(row, store, target, private=bring is None)
            conflicts.append(Conflict(row, *_largest(kept[key], row), tuple(details), file))
        elif bring is not None:
            bring(key)
    return tuple(conflicts)


def _differing_logits(store: Store, target: Store, key: str) -> list[str]:
    files = (target.logits_file(key), store.logits_file(key))
    if all(file.exists() for file in files) and filecmp.cmp(*files, shallow=False):
        return []
    kept, arriving = target.read_logits(key), store.read_logits(key)
    # One of the two may hold fewer splits, by `merge --logits test`.
    shared = {split: logits for split, logits in kept.items() if split in arriving}
    return logit_differences(shared, arriving)


def _set_aside(row: Row, store: Store, target: Store, *, private: bool) -> Path:
    digest = hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:8]
    file = target.root / "conflicts" / f"{row['key']}-{digest}.parquet"
    file.parent.mkdir(exist_ok=True)
    logits = None if private else store.logits_table(row["key"])
    if logits is not None:
        write_table(logits, file.with_suffix(".logits.parquet"))
    write_table(pa.Table.from_pylist([row], COLUMNS), file)
    return file


def _largest(kept: Row, row: Row) -> tuple[str, float]:
    """Return the score that differs most and by how much; no name and NaN where none can."""
    gaps = [
        (abs(kept[name] - row[name]), name)
        for name in OUTCOME
        if isinstance(kept[name], float) and isinstance(row[name], float)
    ]
    gap, name = max(((gap, name) for gap, name in gaps if gap > 0), default=(float("nan"), ""))
    return name, gap


def copy_logits(store: Store, target: Store, key: str, logits: LogitsOf = "all") -> None:
    """Bring the logits of a trial on splits that are not there yet, as a single file."""
    source, kept = store.logits_file(key), target.logits_table(key)
    if kept is None and logits == "all" and source.exists():
        _copy(source, target.logits_file(key))
        return
    table = store.logits_table(key)
    if table is None:
        return
    if logits != "all":
        table = table.filter(pc.field("split") == "test")
    if kept is not None:
        table = table.filter(~pc.field("split").isin(kept["split"].unique()))
    if table.num_rows:
        both = [table, *([] if kept is None else [kept])]
        # Files of earlier versions lack the column of groups.
        write_table(pa.concat_tables(both, promote_options="default"), target.logits_file(key))


def _copy_models(store: Store, target: Store, key: str) -> None:
    """Bring what a run kept, with the encoder it stands on; what is there already stays."""
    for folder in kept_models(store.root, key):
        encoder = encoder_of_model(folder)
        # The encoder first: without it the model cannot be read.
        for source in [store.root / "encoders" / encoder] * bool(encoder) + [folder]:
            final = target.root / source.relative_to(store.root)
            if source.is_dir() and not final.exists():
                final.parent.mkdir(exist_ok=True)
                with whole_folder(final) as temporary:
                    shutil.copytree(source, temporary, dirs_exist_ok=True)


def _copy(source: Path, final: Path) -> None:
    with whole_file(final) as temporary:
        shutil.copyfile(source, temporary)
