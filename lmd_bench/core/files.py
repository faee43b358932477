"""Files and folders that are whole under their name, or not there.

Each is written under a name of its own that begins with a dot, brought to the disk, and renamed.
"""

import errno
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from lmd_bench.core.errors import DISK, UserError

T = TypeVar("T")
PAUSES = (0.1, 0.5, 2.0)  # seconds between tries of what a shared disk refused


@contextmanager
def whole_file(final: Path, *, sync: bool = True) -> Iterator[Path]:
    """Give a name to write to; what is there when all is written takes the place of `final`.

    Args:
        final: the name; its folder must be there by the time that all is written.
        sync: whether to wait until the data are on the disk.

    Raises:
        OSError: it cannot be written; nothing is left behind, and `final` is as it was.
    """
    temporary = temporary_name(final)
    try:
        yield temporary
        if sync:
            _sync(temporary)
        os.replace(temporary, final)
        if sync:
            sync_folder(final.parent)
    finally:
        # A full disk must not fill further.
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def whole_folder(final: Path, *, replace: bool = False) -> Iterator[Path]:
    """Give an empty folder to fill; when all is written it gets the name `final`.

    Args:
        final: a name that is free, or an empty folder; its parent must be there.
        replace: whether a folder of that name, and what it holds, is removed just before; one
            that another process puts there at this moment stays in place of this one.

    Raises:
        OSError: it cannot be written, or the name is taken; nothing is left behind.
    """
    temporary = temporary_name(final)
    try:
        temporary.mkdir()
        yield temporary
        for path in temporary.rglob("*"):
            if path.is_file():
                _sync(path)
        sync_folder(temporary)
        if replace:
            put_aside(final)
        try:
            os.replace(temporary, final)
        except OSError as error:
            # Where locks do not hold, another machine may have put the same there meanwhile.
            if not (replace and error.errno in (errno.ENOTEMPTY, errno.EEXIST)):
                raise
        sync_folder(final.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def asked_file(final: Path) -> Iterator[Path]:
    """Do as `whole_file` for a name that a person gave.

    Raises:
        UserError: it cannot be written; nothing is left behind.
    """
    try:
        with whole_file(final) as temporary:
            yield temporary
    except OSError as error:
        raise UserError(f"{final} cannot be written ({error.strerror or error}).") from error


def patiently(read: Callable[[], T]) -> T:
    """Return what `read` gives, which is tried again where the file system may recover.

    Raises:
        OSError: of a file that is not there, or after all tries.
    """
    for seconds in PAUSES:
        try:
            return read()
        except OSError as error:
            # Without a number it is not the operating system's: a page whose checksum is wrong.
            if error.errno in (None, errno.ENOENT, errno.ENOTDIR):
                raise
            time.sleep(seconds)
    return read()


def takes_files(folder: Path, n_bytes: int = 64 * 2**20) -> bool:
    """Say whether a file of `n_bytes` can be written in a folder now; it is removed at once."""
    probe = temporary_name(folder / "probe")
    try:
        with probe.open("wb") as file:
            # Reserved where the file system can, which takes no time; else written.
            try:
                os.posix_fallocate(file.fileno(), 0, n_bytes)
            except (AttributeError, OSError) as error:
                if isinstance(error, OSError) and error.errno in DISK:
                    raise
                for _ in range(n_bytes // 2**20):
                    file.write(bytes(2**20))
                file.flush()
                os.fsync(file.fileno())
        return True
    except OSError:
        return False
    finally:
        with suppress(OSError):
            probe.unlink()


def shared_mode() -> int:
    """Return the rights of a new file by this process's umask."""
    with suppress(OSError, IndexError):
        text = Path("/proc/self/status").read_text()
        return 0o666 & ~int(text.partition("Umask:")[2].split()[0], 8)
    # Elsewhere it can only be read by setting it, which other threads would notice.
    mask = os.umask(0o022)
    os.umask(mask)
    return 0o666 & ~mask


def temporary_name(final: Path) -> Path:
    """Return a name of this process for a file that is still being written."""
    return final.with_name(f".{final.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")


def publish(temporary: Path, final: Path) -> None:
    """Give a finished file its name; what it holds is on the disk before, its name after."""
    _sync(temporary)
    os.replace(temporary, final)
    sync_folder(final.parent)


def sync_folder(folder: Path) -> None:
    """Put a folder's names on the disk: else a crash of the machine may keep data without them."""
    descriptor = os.open(folder, os.O_RDONLY)
    # Some file systems cannot, and do it by themselves.
    with suppress(OSError):
        os.fsync(descriptor)
    os.close(descriptor)


def put_aside(folder: Path) -> None:
    """Remove a folder at once: who looks at its name sees all of it or nothing."""
    aside = temporary_name(folder)
    with suppress(OSError):
        os.replace(folder, aside)
        shutil.rmtree(aside, ignore_errors=True)


def _sync(path: Path) -> None:
    # Else a crash of the machine may keep the name and lose the data.
    with path.open("rb+") as file:
        os.fsync(file.fileno())
