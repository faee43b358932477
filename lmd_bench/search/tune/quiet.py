"""What Ray prints and logs, led away from the screen."""

import importlib
import io
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

from lmd_bench.search.tune.cluster import prepare_environment


@contextmanager
def quiet(log: Path, verbose: bool) -> Iterator[None]:
    """Send what Ray prints and logs to a file: it would garble the display."""
    prepare_environment()
    if verbose:
        yield
        return
    importlib.import_module("ray")  # makes the logger that is changed here

    # Ray's logger holds the streams that it found at import, so leading those away is not enough:
    # its handlers give way to one for the file as well.
    logger = logging.getLogger("ray")
    with _log(log) as file, redirect_stdout(file), redirect_stderr(file):
        handlers, to_file = list(logger.handlers), logging.StreamHandler(file)
        for handler in handlers:
            logger.removeHandler(handler)
        logger.addHandler(to_file)
        try:
            yield
        finally:
            logger.removeHandler(to_file)
            for handler in handlers:
                logger.addHandler(handler)


def _log(path: Path) -> io.TextIOWrapper:
    raw: Any = _Forgiving(path)
    return io.TextIOWrapper(raw, encoding="utf-8", errors="replace", write_through=True)


class _Forgiving(io.RawIOBase):
    """Appends to a file; a disk that refuses it loses lines, and nothing else."""

    def __init__(self, path: Path) -> None:
        self._descriptor: int | None = None
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        with suppress(OSError):
            if self._descriptor is not None:
                os.write(self._descriptor, data)
        return len(data)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None
        super().close()
