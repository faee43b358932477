"""Locks of the operating system on files: a dead process holds none."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lmd_bench.core.errors import DISK, BrokenPlaceError, DiskError

__all__ = ["Timeout", "locked"]


@contextmanager
def locked(path: Path, timeout: float | int) -> Iterator[None]:
    """Hold the lock of a file, which is made if it is not there, for all users by the umask.

    Args:
        path: The file.
        timeout: Seconds to wait for who holds it; 0: not at all.

    Raises:
        Timeout: somebody holds it for longer.
        BrokenPlaceError: this file system has no locks, or does not let this user have one.
    """
    # Where there are no locks, filelock would put up a marker file in place of one, which a process
    # that dies on another machine holds for ever.
    lock = FileLock(path, timeout=timeout, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise
    except (OSError, NotImplementedError) as error:
        number = error.errno if isinstance(error, OSError) else None
        kind = DiskError if number in DISK else BrokenPlaceError
        raise kind(
            f"The file {path} cannot be locked ({error}); a file system for results has to have "
            "locks (Lustre: mounted with -o flock; NFS: version 4), and several users of one "
            "folder need a common group and umask 002."
        ) from error
    try:
        yield
    finally:
        lock.release()
