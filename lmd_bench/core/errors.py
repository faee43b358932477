"""The errors: one sentence for a person's mistake, and the one of a training that diverged."""

import errno
from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """Bad input. The command line prints its text alone and exits with code 2."""


def unknown(kind: str, given: str, choices: Iterable[str]) -> UserError:
    """Return the error for a name that is none of `choices`, with the nearest one suggested."""
    names = sorted(choices)
    near = get_close_matches(given, names, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return UserError(f"Unknown {kind} '{given}'; choose from {', '.join(names)}.{hint}")


class BrokenPlaceError(UserError):
    """What a machine lacks and another may have: its GPU, or its way to the files."""


DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM})


class DiskError(BrokenPlaceError):
    """A disk that is full, read-only or forbidden: no other machine may do better."""


def file_error(doing: str, error: OSError) -> BrokenPlaceError:
    """Return the error for files that cannot be used, by what the operating system says.

    Args:
        doing: What was tried, as the beginning of a sentence.
        error: What came of it.
    """
    kind = DiskError if error.errno in DISK else BrokenPlaceError
    return kind(f"{doing} ({error}); mend that, then the same command goes on.")


class PrunedError(Exception):
    """A trial fell behind the others of its study; the trial's row says where."""


class OvertimeError(Exception):
    """A trial took longer than it may."""


class DivergedError(ArithmeticError):
    """Training gave a loss or logits that are not finite; the trial's row says where."""
