"""Files that a person asked for: whole under their name, or not there."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lmd_bench.core.errors import UserError


@contextmanager
def whole_file(final: Path) -> Iterator[Path]:
    """Give a name to write to; what is there when all is written takes the place of `final`.

    Raises:
        UserError: it cannot be written; nothing is left behind.
    """
    temporary = temporary_name(final)
    try:
        yield temporary
        publish(temporary, final)
    except OSError as error:
        raise UserError(f"{final} cannot be written ({error.strerror or error}).") from error
    finally:
        with suppress(OSError):  # such as no folder to look into
            temporary.unlink()


def temporary_name(final: Path) -> Path:
    """Return a name of this process for a file that is still being written."""
    return final.with_name(f".{final.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")


def publish(temporary: Path, final: Path) -> None:
    """Give a finished file its name; what it holds is on the disk before."""
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())  # else a crash of the machine may keep the name and lose the data
    os.replace(temporary, final)
