"""Files that a person asked for: whole under their name, or not there."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lmd_bench.core.errors import UserError
from lmd_bench.store.row_files import publish, temporary_name


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
