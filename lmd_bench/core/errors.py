"""The errors: one sentence for a person's mistake, and the one of a training that diverged."""

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


class PrunedError(Exception):
    """A trial fell behind the others of its study; the trial's row says where."""


class OvertimeError(Exception):
    """A trial took longer than it may."""


class DivergedError(ArithmeticError):
    """Training gave a loss or logits that are not finite; the trial's row says where."""
