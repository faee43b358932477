"""Ray and real trials through the command line; the drills are in test_faults.py."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from drill import PATIENCE, family, finish, named, rows_on_disk, start, wait_for

from lmd_bench.store.store import open_store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * PATIENCE)]

LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}


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


STRANGER = """
import sys
from ray._raylet import GcsClient
GcsClient(address=sys.argv[1]).get_all_node_info(timeout=60)
"""


def answer_to_a_stranger(pid: int) -> str:
    """Return what the Ray of a search tells a process that has no token."""
    raylet = Path(f"/proc/{named(pid, 'raylet/raylet')[0]}/cmdline").read_text()
    (address,) = re.findall(r"\0--gcs-address=([^\0]+)", raylet)
    ended = subprocess.run(
        [sys.executable, "-c", STRANGER, address],
        env=os.environ | {"RAY_AUTH_MODE": "disabled"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode, "it was let in"
    return ended.stderr


def test_a_search_is_closed_to_others_and_runs_each_trial_once(tmp_path):
    results = tmp_path / "results"
    process = start(results, tmp_path / "cache")
    wait_for(lambda: len(rows_on_disk(results)) >= 1)
    addresses = listening(family(process.pid))
    refused = answer_to_a_stranger(process.pid)
    said = finish(process)
    assert addresses
    assert addresses <= LOOPBACK
    assert "InvalidAuthToken" in refused
    rows = open_store(results).rows()
    assert f"{len(rows)} trials are stored: {len(rows)} run now" in said
    assert {row["status"] for row in rows} == {"ok"}
    # At equal totals a method of one stage has as many trials as both stages of the others.
    n_trials = {"cross_entropy": 6, "crt": 3, "logit_adjustment": 3}
    numbers = sorted(
        (row["method"], row["trial_number"]) for row in rows if row["phase"] == "search"
    )
    assert numbers == [(method, i) for method, n in n_trials.items() for i in range(n)]
    assert all((row["n_test"] is not None) == (row["phase"] == "confirm") for row in rows)
    assert {p.stem for p in results.glob("logs/trials/*.log")} == {row["key"] for row in rows}
