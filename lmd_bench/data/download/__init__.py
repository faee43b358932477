"""Fetches the published files of a data set into the folder where they are looked for.

A data set's own file says what is published where (`Dataset.published`). Files come several at a
time into a hidden folder, are checked there, and only then get their names: whole or not at all.
Where no checksum is published, that of the first download is kept in `downloads.json`, and later
ones have to equal it.
"""

import json
import shutil
import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path

from lmd_bench.core.errors import DiskError, UserError, file_error
from lmd_bench.core.files import whole_file
from lmd_bench.core.locks import Timeout, locked
from lmd_bench.data.datasets import Dataset
from lmd_bench.data.download.archive import unpack
from lmd_bench.data.download.transfer import OnBytes, StoppedError, Transfer, length
from lmd_bench.data.table import PublishedFile

__all__ = ["OnBytes", "Source", "download", "sources"]

WORK = ".download"  # below the data set's folder: what is not whole yet
RECORD = "downloads.json"
AT_ONCE = 4
PREFERRED_SIZE = 64  # px, of data sets published in several sizes: that of prepared images
_ROOM = 1.05  # of what is declared: blocks of the file system, small files


@dataclass(frozen=True)
class Source:
    """A published file, and whether it is here already."""

    file: PublishedFile
    target: Path
    here: bool


@dataclass(frozen=True)
class _Came:
    file: str
    url: str
    sha256: str
    n_bytes: int


def sources(dataset: Dataset, root: Path, size: int | None = None) -> list[Source]:
    """Return what is to be fetched for a data set.

    Args:
        dataset: The data set.
        root: Its folder, which need not be there.
        size: Pixels, for one that is published in several sizes.

    Raises:
        UserError: nothing of it can be fetched, or it has no images of this size.
    """
    files = dataset.published
    if not files:
        raise UserError(
            f"lmd-bench cannot download data set '{dataset.card.name}'. {dataset.card.how_to_get}"
        )
    offered = sorted({file.size for file in files if file.size is not None})
    if size is not None and size not in offered:
        there = f"choose from {', '.join(map(str, offered))}" if offered else "leave it out"
        raise UserError(
            f"Data set '{dataset.card.name}' is not published with images of {size} px; {there}."
        )
    if offered and size is None:
        size = PREFERRED_SIZE if PREFERRED_SIZE in offered else offered[0]
    wanted = [file for file in files if file.size in (None, size)]
    targets = [root / (file.into or file.name) for file in wanted]
    return [Source(f, t, t.exists()) for f, t in zip(wanted, targets, strict=True)]


def download(
    dataset: Dataset, root: Path, size: int | None = None, on_bytes: OnBytes | None = None
) -> None:
    """Fetch, check and unpack what is not here yet.

    Args:
        dataset: The data set.
        root: Its folder; it is made.
        size: Pixels, for one that is published in several sizes.
        on_bytes: Is told of what has come: name of the file, bytes, bytes in all (0: not known).
            From several threads.

    Raises:
        UserError: a file cannot be reached, is not the published one, or does not fit on the disk;
            says what to fetch by hand. No file has its name then that is not whole.
    """
    all_sources = sources(dataset, root, size)
    record = _read_record(root)
    for source in all_sources:
        _check_present(source, record)
    absent = [source for source in all_sources if not source.here]
    work = root / WORK
    try:
        work.mkdir(parents=True, exist_ok=True)
        with locked(work / "lock", timeout=0):
            _require_room(absent, work)
            _fetch_all(dataset, absent, work, record, on_bytes or _ignore)
            dataset.complete(root)
            shutil.rmtree(work, ignore_errors=True)
    except Timeout as error:
        raise UserError(f"Another process downloads into {root} now; wait for it.") from error
    except OSError as error:
        raise file_error(f"{root} cannot be written", error) from error


def _fetch_all(
    dataset: Dataset,
    absent: list[Source],
    work: Path,
    record: dict[str, _Came],
    on_bytes: OnBytes,
) -> None:
    stop = threading.Event()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        futures = [
            pool.submit(_fetch, dataset, source, work, record.get(source.file.name), on_bytes, stop)
            for source in absent
        ]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            # The others give up too, and a Ctrl-C does not wait for 9 GB.
            stop.set()
        errors = [error for future in futures if (error := future.exception()) is not None]
        for future in futures:
            if future.exception() is None:
                came = future.result()
                record[came.file] = came
        _write_record(work.parent, record)
        for error in sorted(errors, key=lambda error: isinstance(error, StoppedError)):
            raise error


def _fetch(
    dataset: Dataset,
    source: Source,
    work: Path,
    before: _Came | None,
    on_bytes: OnBytes,
    stop: threading.Event,
) -> _Came:
    """Bring one file to its place; return what came."""
    import pooch

    file = source.file
    expected = file.checksum or (before and f"sha256:{before.sha256}") or None
    archive = work / file.name
    transfer = Transfer(work / f"{file.name}.part", file, on_bytes, stop)
    # It tells of each file by itself, and of an unknown hash at length.
    pooch.get_logger().setLevel("ERROR")
    try:
        pooch.retrieve(file.url, expected, file.name, work, downloader=transfer)
    except transfer.errors as error:
        raise UserError(
            f"{file.url} cannot be fetched ({transfer.cause(error)}); the same command goes on "
            f"where it stopped, or do by hand what it does: {dataset.card.how_to_get} Put it at "
            f"{work.parent}."
        ) from error
    except ValueError as error:
        raise UserError(
            f"{file.url} is not the file that data set '{dataset.card.name}' needs: its checksum "
            f"is not {expected}; it was removed. {dataset.card.how_to_get}"
        ) from error
    came = _Came(file.name, file.url, pooch.file_hash(str(archive)), archive.stat().st_size)
    if file.into is None:
        archive.rename(source.target)
    else:
        unpack(archive, source.target)
        archive.unlink()
    return came


def _check_present(source: Source, record: dict[str, _Came]) -> None:
    """Refuse a file that has the name of a published one and is another; it is never replaced."""
    import pooch

    file = source.file
    known = file.checksum or (f"sha256:{record[file.name].sha256}" if file.name in record else None)
    if not source.here or file.into is not None or known is None:
        return
    algorithm, _, digest = known.partition(":")
    if pooch.file_hash(str(source.target), algorithm) != digest.lower():
        raise UserError(
            f"{source.target} is there and is not the published file (its {algorithm} is not "
            f"{digest}); move it away, or go on with it as it is."
        )


def _require_room(absent: list[Source], work: Path) -> None:
    """Refuse what will not fit; an archive is there beside what it holds, for a while."""
    needed = 0.0
    for source in absent:
        n_bytes = source.file.n_bytes or length(source.file.url)
        part = work / f"{source.file.name}.part"
        there = part.stat().st_size if part.exists() else 0
        needed += _ROOM * n_bytes * (1 if source.file.into is None else 2) - there
    free = shutil.disk_usage(work).free
    if needed > free:
        raise DiskError(
            f"{needed / 1e9:.1f} GB are needed in {work.parent}, archives and what they hold, but "
            f"{free / 1e9:.1f} GB are free; make room, or name another folder with --data-root."
        )


def _read_record(root: Path) -> dict[str, _Came]:
    try:
        entries = json.loads((root / RECORD).read_text())
        return {entry["file"]: _Came(**entry) for entry in entries}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{root / RECORD}, which keeps the checksums of what was downloaded, cannot be read "
            f"({error}); remove it, and checksums are taken anew."
        ) from error


def _write_record(root: Path, record: dict[str, _Came]) -> None:
    if record:
        with whole_file(root / RECORD) as temporary:
            entries = [asdict(came) for _, came in sorted(record.items())]
            temporary.write_text(json.dumps(entries, indent=1) + "\n")


def _ignore(name: str, done: int, total: int) -> None:
    """Tell nobody."""
