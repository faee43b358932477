"""A worker ends with the process that started it, so that nobody waits for its locks.

Ray ends a worker whose raylet is gone, but takes one that is dead and not yet waited for (a zombie)
for alive. Such a worker would wait for ever, in its next report to a driver that has given it up,
and hold the lock of the encoder that it trains.
"""

import os
import threading
import time
from functools import cache

SECONDS = 1.0  # between two looks


@cache  # one watch for each process, however many trials it runs
def end_with_parent() -> None:
    """Watch this process's parent from a thread; end the process at once when it has another."""
    threading.Thread(target=_watch, args=(os.getppid(),), name="orphan-watch", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(SECONDS)
    os._exit(1)  # the operating system frees its locks; what it half wrote has a temporary name
