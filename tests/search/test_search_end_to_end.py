"""Ray, real trials and real kills, through the command line."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from lmd_bench.results import open_store

pytestmark = pytest.mark.slow

COMMAND = (
    "search --dataset synthetic --image-size 32 --imbalance-factor 10 --n-max 40 "
    "--method cross_entropy,crt,logit_adjustment --trials 3 --epochs 1 --confirm-seeds 1 "
    "--set crt.n_epochs=2 --max-concurrent 2"
)
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}


def start(results: Path, cache: Path) -> subprocess.Popen[str]:
    main = "from lmd_bench.commands import main; main()"
    command = [sys.executable, "-c", main, *COMMAND.split(), "--results", str(results)]
    return subprocess.Popen(
        command,
        env=os.environ | {"LMD_BENCH_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    text, _ = process.communicate(timeout=400)
    assert process.returncode == 0, text
    return text


def wait_for(condition: Callable[[], object], seconds: float = 200.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.1)


def rows_on_disk(results: Path) -> dict[str, int]:
    """Return key -> time of writing, in nanoseconds."""
    return {f.stem: f.stat().st_mtime_ns for f in results.glob("trials/[!.]*.parquet")}


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


def listening(pids: list[int]) -> set[str]:
    """Return the local addresses, in hexadecimal, that some processes listen on."""
    inodes: set[str] = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                inodes.add(os.readlink(descriptor))
            except OSError:  # closed meanwhile
                continue
    lines = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    listens = "0A"
    return {
        line[1].partition(":")[0]
        for line in lines
        if line[3] == listens and f"socket:[{line[9]}]" in inodes
    }


def test_a_search_killed_half_way_loses_and_repeats_nothing(tmp_path):
    results, cache = tmp_path / "results", tmp_path / "cache"
    first = start(results, cache)
    wait_for(lambda: len(rows_on_disk(results)) >= 4)
    for pid in reversed(family(first.pid)):  # workers first, then raylet and driver
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    first.communicate()
    before = rows_on_disk(results)
    stored = {row["key"]: row for row in open_store(results).rows()}
    assert stored.keys() == before.keys()

    said = finish(start(results, cache))

    after = rows_on_disk(results)
    assert {key: after[key] for key in before} == before  # none was written again
    rows = open_store(results).rows()
    assert f"{len(rows)} trials are stored: {len(rows) - len(before)} run now" in said
    assert {row["status"] for row in rows} == {"ok"}
    searched = Counter(row["method"] for row in rows if row["phase"] == "search")
    assert searched == {"cross_entropy": 3, "crt": 3, "logit_adjustment": 3}
    numbers = sorted(row["trial_number"] for row in rows if row["phase"] == "search")
    assert numbers == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert all((row["n_test"] is not None) == (row["phase"] == "confirm") for row in rows)


def test_a_search_listens_on_loopback_alone_and_outlives_a_killed_worker(tmp_path):
    results = tmp_path / "results"
    process = start(results, tmp_path / "cache")
    wait_for(lambda: len(rows_on_disk(results)) >= 1)
    addresses = listening(family(process.pid))
    workers = [
        pid
        for pid in family(process.pid)
        if b"ray::ImplicitFunc" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    os.kill(workers[0], signal.SIGKILL)
    finish(process)
    assert addresses
    assert addresses <= LOOPBACK
    rows = open_store(results).rows()
    assert {row["status"] for row in rows} == {"ok"}
    assert sum(row["phase"] == "search" for row in rows) == 9


def test_a_terminated_search_leaves_with_130_and_goes_on(tmp_path):
    results, cache = tmp_path / "results", tmp_path / "cache"
    process = start(results, cache)
    wait_for(lambda: len(rows_on_disk(results)) >= 2)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=100)
    assert process.returncode == 130, said
    assert "the same command goes on" in said
    before = rows_on_disk(results)
    finish(start(results, cache))
    after = rows_on_disk(results)
    assert {key: after[key] for key in before} == before
