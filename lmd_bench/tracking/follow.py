"""The process beside a search that sends its rows to one tracker; see `beside`.

Its standard input begins with a line of JSON that says what is sent where, and ends with the
search.
"""

import json
import os
import select
import sys
from pathlib import Path
from typing import Any, BinaryIO

from lmd_bench.store.store import open_store
from lmd_bench.tracking.sending import Destination, Sender, opened

SECONDS = 5.0  # between two looks at the store
LONGEST = 60.0  # between two tries, where the tracker cannot be reached
_POLITE = 10  # to whoever trains here


def main(asked: dict[str, Any], until: BinaryIO) -> int:
    """Send rows until a stream ends, and once more; return 0 if all are sent at last.

    What failed is the last line that it prints.
    """
    results = Path(asked["results"])
    place, pause = Destination(asked["tracker"], asked["uri"]), SECONDS
    with_end = False
    while True:
        cause = ""
        try:
            with opened(place, results) as tracker:
                sender = Sender(open_store(results), tracker, frozenset(asked["studies"]))
                while True:
                    sender.send()
                    pause = SECONDS
                    if with_end:
                        return 0
                    with_end = _ends(until, pause)
        # The border to packages and servers that are not ours: the search goes on whatever they do.
        except Exception as error:
            cause = " ".join(f"{type(error).__name__}: {error}".split())
            print(cause, flush=True)
        if with_end:
            return 1
        with_end, pause = _ends(until, pause), min(2 * pause, LONGEST)


def _ends(stream: BinaryIO, seconds: float) -> bool:
    """Wait for the end of a stream, but not for long; return whether it has come."""
    readable, _, _ = select.select([stream], [], [], seconds)
    return bool(readable) and not os.read(stream.fileno(), 1)


if __name__ == "__main__":
    os.nice(_POLITE)
    # Without a buffer, so that what is read is what `select` sees.
    told = os.fdopen(os.dup(sys.stdin.fileno()), "rb", buffering=0)
    sys.exit(main(json.loads(told.readline()), told))
