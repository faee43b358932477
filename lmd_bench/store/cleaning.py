"""What may be removed of a results folder: what killed runs left, and encoders nobody will ask for.

Rows, logits and kept models are never removed here.
"""

import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lmd_bench.core.files import put_aside
from lmd_bench.core.schema import Row
from lmd_bench.store.models import encoder_of_model
from lmd_bench.store.store import Store

AGE = 3600.0  # seconds; what is still being written is younger
TUNE_AGE = 86400.0  # seconds without a write in Tune's folder, which it writes to all the while
CHECKPOINT_AGE = 14 * 86400.0  # seconds
TOP = 3  # encoders of a study and a factor, best first, that a later calibration is offered
_COLUMNS = (
    *("study", "phase", "status", "is_default", "encoder_rank", "encoder_key", "trial_number"),
    "imbalance_factor",
    *("val_balanced_accuracy", "probe_val_balanced_accuracy"),
)


@dataclass(frozen=True)
class Litter:
    """Things that may be removed."""

    paths: tuple[Path, ...]

    @property
    def n_bytes(self) -> int:
        """Return what they take of the disk."""
        return sum(map(size_of, self.paths))

    def remove(self) -> None:
        """Remove them; each is whole or gone for whoever looks at it."""
        for path in self.paths:
            if path.is_dir():
                put_aside(path)
            with suppress(OSError):
                path.unlink(missing_ok=True)


def leftovers(root: Path) -> Litter:
    """Return what killed runs left: half-written files, signs of life, folders of Tune."""
    now = time.time()
    paths = [path for path in _temporary(root) if _age(path, now) > AGE]
    # A training that goes on does so within days.
    paths += [p for p in root.glob("encoders/.*.checkpoint") if _age(p, now) > CHECKPOINT_AGE]
    done = {path.stem for path in root.glob("trials/[!.]*.parquet")}
    paths += [
        path
        for path in root.glob("running/*.json")
        if path.stem in done or _age(path, now) > TUNE_AGE
    ]
    tune = [*root.glob(".tune-*"), *Path(tempfile.gettempdir()).glob(".tune-*")]
    paths += [path for path in tune if _newest(path, now) > TUNE_AGE]
    return Litter(tuple(paths))


def unused_encoders(store: Store, open_studies: Collection[str]) -> Litter:
    """Return the encoders that no later trial is likely to ask for.

    Kept are those that a kept model stands on, that a calibration has stood on, the best and the
    default one of each study, and all of studies that are not finished.

    Args:
        store: Of the results.
        open_studies: Ids of studies that are not finished.
    """
    used = of_models(store.root)
    studies: dict[str, list[Row]] = defaultdict(list)
    for row in store.scan(_COLUMNS).table.to_pylist():
        studies[row["study"]].append(row)
    for study, rows in studies.items():
        if study in open_studies:
            used |= {row["encoder_key"] for row in rows}
            continue
        searched = [row for row in rows if row["phase"] == "search" and row["status"] == "ok"]
        best = _best_of_each_factor(searched)
        stood_on = [row for row in searched if row["is_default"] or row["encoder_rank"]]
        used |= {row["encoder_key"] for row in (*best, *stood_on)}
    folders = sorted((store.root / "encoders").glob("[!.]*"))
    return Litter(tuple(folder for folder in folders if folder.name not in used))


def of_models(root: Path) -> set[str]:
    """Return the encoders that kept models stand on: without them the models cannot be read."""
    return {key for path in root.glob("models/[!.]*") if (key := encoder_of_model(path))}


def drop_encoders(root: Path, keys: Iterable[str]) -> int:
    """Remove encoders, save those that kept models stand on; return how many."""
    kept = of_models(root)
    folders = [root / "encoders" / key for key in keys if key and key not in kept]
    there = tuple(folder for folder in folders if folder.is_dir())
    Litter(there).remove()
    return len(there)


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    total = 0
    for file in files:
        with suppress(OSError):
            total += 0 if file.is_dir() else file.stat().st_size
    return total


def _temporary(root: Path) -> Iterator[Path]:
    # Names as `core.files` gives them to what is still being written.
    for pattern in (".*.tmp", "*/.*.tmp", "encoders/*/.*.tmp"):
        yield from root.glob(pattern)


def _best_of_each_factor(rows: Iterable[Row]) -> list[Row]:
    """Return the best of each imbalance factor: over a range, some factors are easy."""
    by_factor: dict[float, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=_score, reverse=True):
        by_factor[row["imbalance_factor"]].append(row)
    return [row for of_factor in by_factor.values() for row in of_factor[:TOP]]


def _score(row: Row) -> float:
    probe, own = row["probe_val_balanced_accuracy"], row["val_balanced_accuracy"]
    return float(own if probe is None else probe)


def _age(path: Path, now: float) -> float:
    try:
        return now - path.stat().st_mtime
    except OSError:
        return 0.0


def _newest(folder: Path, now: float) -> float:
    return min((_age(path, now) for path in (folder, *folder.rglob("*"))), default=0.0)


def free_bytes(folder: Path) -> int:
    """Return the free bytes where a folder is, or is to be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
