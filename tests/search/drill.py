"""A small real search through the command line, and what a drill asks of it afterwards."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from lmd_bench.store.store import open_store

# deterministic, so that one run at a time gives what any other run has to give
COMMAND = (
    "search --dataset synthetic --image-size 32 --imbalance-factor 10 --n-max 40 "
    "--method cross_entropy,crt,logit_adjustment --trials 3 --epochs 2 --confirm-seeds 1 "
    "--set crt.n_epochs=2 --deterministic"
)
PATIENCE = 1200.0  # seconds; other work on the machine may take most of its cores


def start(
    results: Path,
    cache: Path,
    n_slots: int = 2,
    *options: str,
    asked: str = COMMAND,
    **environment: str,
) -> subprocess.Popen[str]:
    main = "from lmd_bench.cli import main; main()"
    command = [sys.executable, "-c", main, *asked.split(), "--results", str(results)]
    return subprocess.Popen(
        [*command, "--max-concurrent", str(n_slots), *options],
        env=os.environ | {"LMD_BENCH_CACHE": str(cache)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    text, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, text
    return text


def wait_for(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


def rows_on_disk(results: Path) -> dict[str, int]:
    """Return key -> time of writing, in nanoseconds."""
    return {f.stem: f.stat().st_mtime_ns for f in results.glob("trials/[!.]*.parquet")}


def measured(results: Path) -> dict[str, tuple[object, ...]]:
    """Return what must be the same in every run: key -> status, config and scores."""
    names = ("status", "config_json", "trial_number", "val_balanced_accuracy", "val_nll")
    names = (*names, "test_balanced_accuracy", "test_nll")
    return {row["key"]: tuple(row[n] for n in names) for row in open_store(results).rows()}


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        parents.setdefault(int(fields[1]), []).append(int(folder.name))
    found = [pid]
    for member in found:
        found.extend(parents.get(member, []))
    return found


def named(pid: int, words: str) -> list[int]:
    """Return the descendants of a process whose command line holds these words."""
    found: list[int] = []
    for member in family(pid):
        try:
            line = Path(f"/proc/{member}/cmdline").read_bytes()
        except OSError:
            continue
        if words.encode() in line:
            found.append(member)
    return found
