"""A pack: a results folder that is given away, as one zip file with the hash of each of its files.

It holds rows, logits under hidden ids, and what ablations are of. Its manifest names each file and
each row with a SHA-256, so a file that was swapped, added or taken away is found. Who makes the
manifest anew as well is found by what the rows themselves say (`experiments/verification.py`), and
by the hash of the whole pack, which `submit` prints.
"""

import hashlib
import json
import re
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from lmd_bench.core.errors import UserError
from lmd_bench.core.files import asked_file
from lmd_bench.core.schema import Row
from lmd_bench.store.columns import LOGITS
from lmd_bench.store.gathered import gathered_files
from lmd_bench.store.gathering import gather
from lmd_bench.store.hiding import hidden_ids
from lmd_bench.store.merging import Arrival, merge
from lmd_bench.store.provenance import package_version
from lmd_bench.store.row_files import scan, write_table
from lmd_bench.store.store import Store, open_store

MANIFEST = "manifest.json"
_FORMAT = 1
# What a pack may hold, and nothing else: no page, no program, no name that leaves its folder.
_MEMBER = re.compile(
    r"(store\.json|manifest\.json|(compacted|logits|gathered)/[0-9a-f]+\.parquet"
    r"|ablations/[\w-]+\.json)"
)
_WHEN = (1980, 1, 1, 0, 0, 0)  # of each member: equal results make equal packs


@dataclass(frozen=True)
class Fault:
    """Why results are not what they are given out as."""

    kind: str  # a word for tests and for the eye: member, manifest, key, metric, ...
    where: str  # a file or a row
    what: str


@dataclass(frozen=True)
class Packed:
    """A pack that was written."""

    sha256: str
    n_bytes: int
    n_rows: int
    arrivals: tuple[Arrival, ...]


def pack(sources: Sequence[Path], to: Path, *, logits: bool = True) -> Packed:
    """Write results as one file that says nothing of where they were made.

    Args:
        sources: Results folders; they are only read.
        to: The file.
        logits: Whether logits come along; without them nobody can compute the metrics again.

    Raises:
        UserError: no results in a source, damaged ones, or a file that cannot be written.
    """
    with TemporaryDirectory(prefix="lmd-bench-pack-") as folder:
        root = Path(folder) / "results"
        arrivals = copy_hidden(sources, root, logits=logits)
        return write_pack(open_store(root), to, arrivals)


def write_pack(store: Store, to: Path, arrivals: Sequence[Arrival] = ()) -> Packed:
    """Write a folder that `copy_hidden` made as one file."""
    rows: list[Row] = store.scan().table.to_pylist()
    files = [path for path in store.root.rglob("*") if path.is_file()]
    members = {path.relative_to(store.root).as_posix(): path for path in sorted(files)}
    members = {name: path for name, path in members.items() if _MEMBER.fullmatch(name)}
    contents = {name: path.read_bytes() for name, path in members.items() if name != MANIFEST}
    contents[MANIFEST] = _manifest(contents, rows)
    with asked_file(to) as temporary:
        # Parquet is compressed already.
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            for name, data in contents.items():
                archive.writestr(zipfile.ZipInfo(name, _WHEN), data)
        digest = file_hash(temporary)
        size = temporary.stat().st_size
    return Packed(digest, size, len(rows), tuple(arrivals))


def unpack(file: Path, into: Path) -> list[Fault]:
    """Write what a pack holds to a folder, and return what its members and its manifest hide.

    A member that a pack may not hold is never written.

    Args:
        file: The pack.
        into: A folder, made where there is none; it must be empty.

    Raises:
        UserError: no pack, or a folder that holds something.
    """
    if into.exists() and any(into.iterdir()):
        raise UserError(f"{into} is not empty; name a folder that is, or a new one.")
    try:
        with zipfile.ZipFile(file) as archive:
            faults, contents = _read(archive)
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{file} is no pack that can be read ({error}).") from error
    if "store.json" not in contents:
        raise UserError(f"{file} is no pack of lmd-bench submit: it holds no store.json.")
    for name, data in contents.items():
        path = into / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    for name in ("trials", "logits"):
        (into / name).mkdir(exist_ok=True)
    return faults + _against_manifest(contents, open_store(into))


def copy_hidden(sources: Sequence[Path], into: Path, *, logits: bool = True) -> list[Arrival]:
    """Join results folders in a new one that says nothing of where they were made.

    Args:
        sources: Results folders; they are only read.
        into: Made; nothing may be there.
        logits: Whether logits come along, by which others can compute all metrics again; in one
            file where a source has gathered them.

    Raises:
        UserError: no results in a source, or damaged ones.
    """
    arrivals = merge(sources, into, private=True)
    damaged = [path for arrival in arrivals for path in arrival.damaged]
    if damaged:
        raise UserError(
            f"{damaged[0]} cannot be read, so its row would be left out unseen; delete it, or run "
            "the same search again."
        )
    if logits:
        target, stores = open_store(into), [open_store(source) for source in sources]
        for row in target.scan(("task_fingerprint",)).table.to_pylist():
            _copy_logits(row["key"], row["task_fingerprint"], stores, target)
        # As small as they were: one by one they take several times as much.
        if any(gathered_files(store.root) for store in stores):
            gather(into)
    return arrivals


def _copy_logits(key: str, fingerprint: str, stores: Sequence[Store], target: Store) -> None:
    for store in stores:
        table = store.logits_table(key)
        if table is None:
            continue
        ids = hidden_ids(table["image_id"].to_pylist(), fingerprint)
        at = table.schema.get_field_index("image_id")
        column = pa.array(ids, pa.string())
        write_table(table.set_column(at, LOGITS.field("image_id"), column), target.logits_file(key))
        return


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(archive: zipfile.ZipFile) -> tuple[list[Fault], dict[str, bytes]]:
    faults: list[Fault] = []
    contents: dict[str, bytes] = {}
    for member in archive.infolist():
        name = member.filename
        why = ""
        if not _MEMBER.fullmatch(name):
            why = "a pack holds no such file; it was not written"
        elif member.compress_type != zipfile.ZIP_STORED:
            why = "it is compressed, and could grow without end; it was not written"
        elif name in contents:
            why = "it is there twice; the first was taken"
        if why:
            faults.append(Fault("member", name, why))
            continue
        contents[name] = archive.read(member)
    return faults, contents


def _manifest(contents: Mapping[str, bytes], rows: Sequence[Row]) -> bytes:
    data = {
        "format": _FORMAT,
        "package_version": package_version(),
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()},
        "rows": {row["key"]: whole_row_hash(row) for row in rows},
    }
    return (json.dumps(data, indent=1, sort_keys=True) + "\n").encode()


def whole_row_hash(row: Row) -> str:
    """Return the SHA-256 of all columns of a row."""
    return hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()


def _against_manifest(contents: Mapping[str, bytes], store: Store) -> list[Fault]:
    try:
        manifest: dict[str, Any] = json.loads(contents.get(MANIFEST, b""))
        files, rows = dict(manifest["files"]), dict(manifest["rows"])
    except (ValueError, KeyError, TypeError):
        return [Fault("manifest", MANIFEST, "it is absent or cannot be read")]
    faults = [
        Fault("manifest", name, "the manifest names it, and it is not there")
        for name in sorted(files.keys() - contents.keys())
    ]
    for name, data in contents.items():
        if name != MANIFEST and name not in files:
            faults.append(Fault("manifest", name, "the manifest does not name it"))
        elif name != MANIFEST and hashlib.sha256(data).hexdigest() != files[name]:
            faults.append(Fault("manifest", name, "its SHA-256 is not that of the manifest"))
    table = _all_rows(store)
    counts = Counter(table["key"].to_pylist())
    faults += [
        Fault("doubled", key, f"the row is there {n} times") for key, n in counts.items() if n > 1
    ]
    faults += [
        Fault("manifest", key, "the manifest names this row, and it is not there")
        for key in sorted(rows.keys() - counts.keys())
    ]
    for row in table.to_pylist():
        if row["key"] not in rows:
            faults.append(Fault("manifest", row["key"], "the manifest does not name this row"))
        elif whole_row_hash(row) != rows[row["key"]]:
            faults.append(Fault("manifest", row["key"], "the row is not that of the manifest"))
    return faults


def _all_rows(store: Store) -> pa.Table:
    """Return every row of the compacted files, those of one key too."""
    return scan(store.compacted()).table
