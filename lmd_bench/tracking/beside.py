"""Trackers beside a search: each in a process of its own, so that none can end or slow it.

A process follows the store and sends what is new. When its standard input ends, it looks once more
and ends. One that cannot reach its tracker tries on until then.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from lmd_bench.tracking.sending import Destination

PATIENCE = 30.0  # seconds after the end of a search, for all trackers together
_LONGEST = 300  # characters of a cause


@contextmanager
def tracked(
    results: Path,
    places: Sequence[Destination],
    studies: Collection[str],
    note: Callable[[str], None],
    patience: float = PATIENCE,
) -> Iterator[None]:
    """Send the rows of some studies to trackers, as long as the body runs.

    Args:
        results: Folder of the rows.
        places: Where they go.
        studies: Their ids.
        note: Is told of each tracker that does not have all rows at the end.
        patience: Seconds that the last rows may take, after the body.
    """
    running = [(place, _start(results, place, studies)) for place in places]
    try:
        yield
    finally:
        for _, process in running:
            if process is not None:
                _close(process.stdin)
        deadline = time.monotonic() + patience
        for place, process in running:
            # Where no process and no log can be had, rows are stored all the same.
            cause = "its process could not be started"
            if process is not None:
                cause = _ended(process, deadline, _log(results, place))
            if cause:
                note(
                    f"Not all rows are in {place.tracker} ({cause}). The results are whole; "
                    f"lmd-bench sync {results} {place.command} sends what is missing."
                )


def _log(results: Path, place: Destination) -> Path:
    return results / "logs" / f"tracker-{place.tracker}.log"


def _start(
    results: Path, place: Destination, studies: Collection[str]
) -> "subprocess.Popen[bytes] | None":
    log = _log(results, place)
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "lmd_bench.tracking.follow"],
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=said,
                # Ctrl-C is the search's; and what a tracker's package starts is ended with it.
                start_new_session=True,
            )
    except OSError:
        return None
    # Not on the command line, which all users of a machine see: a URI may hold a password.
    asked: dict[str, Any] = {"results": str(results), **asdict(place), "studies": sorted(studies)}
    assert process.stdin is not None
    with suppress(OSError):
        process.stdin.write(json.dumps(asked).encode() + b"\n")
        process.stdin.flush()
    return process


def _close(stream: IO[bytes] | None) -> None:
    # It may have died before.
    with suppress(OSError):
        if stream is not None:
            stream.close()


def _ended(process: "subprocess.Popen[bytes]", deadline: float, log: Path) -> str:
    """Wait for a process, or end it and all that it started; return why it failed, or nothing."""
    try:
        code = process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        # With what its package started.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return "it took too long, and was ended"
    if code == 0:
        return ""
    lines = log.read_text("utf-8", errors="replace").split("\n") if log.is_file() else []
    said = [line.strip() for line in lines if line.strip()]
    return said[-1][:_LONGEST] if said else f"its process ended with {code}"
