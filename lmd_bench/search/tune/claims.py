"""Claims: no two searches work on one study at once.

A search holds a lock of the operating system on each of its studies while it runs, so that of a
dead one is free. Searches of other studies may share the folder.
"""

import json
import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import content_hash


@contextmanager
def claimed(results: Path, studies: Iterable[str]) -> Iterator[None]:
    """Hold the studies of a results folder.

    Raises:
        UserError: another search that is running holds one of them.
    """
    # In one order: two searches that share studies would else each take one and refuse each other.
    folder = results / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        for study in sorted(studies):
            path = folder / f"{content_hash(study)}.lock"
            try:
                held.enter_context(FileLock(path, timeout=0))
            except Timeout:
                raise UserError(
                    f"Another search{_holder(path)} is working on {study} in {results}; wait for "
                    "it (lmd-bench watch shows it), or name another folder with --results."
                ) from None
            # It only names the holder in the other's message; the lock alone is what counts.
            owner = {"host": socket.gethostname(), "process": os.getpid()}
            path.with_suffix(".json").write_text(json.dumps(owner))
        yield


def _holder(path: Path) -> str:
    with suppress(OSError, ValueError, KeyError):
        owner = json.loads(path.with_suffix(".json").read_text())
        return f" (process {owner['process']} on {owner['host']})"
    return ""
