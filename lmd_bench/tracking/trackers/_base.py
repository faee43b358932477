"""What every tracker does: keep one run for each key, however often a row is sent."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from lmd_bench.tracking.entry import Entry

PROJECT = "lmd-bench"  # where rows go in a tracker that parts runs by project
MARK = "lmd-bench.txt"  # in a run's folder, when it is whole: the stamp of its row


class Tracker(ABC):
    """A place for runs; the name of its file is what `--track` takes.

    Its package is imported where it is used, and never when its file is.
    """

    package: ClassVar[str]  # that has to be installed
    environment: ClassVar[Mapping[str, str]] = {}  # set before that, where the user set nothing

    @staticmethod
    @abstractmethod
    def default(results: Path) -> str:
        """Return where runs go if no URI is given."""

    @abstractmethod
    def __init__(self, uri: str) -> None:
        """Open a place for runs.

        Args:
            uri: A URL or a folder; `default` of the results where none was given.
        """

    @abstractmethod
    def stamps(self) -> Mapping[str, str]:
        """Return the stamp of each key that has a whole run there."""

    @abstractmethod
    def send(self, entry: Entry) -> None:
        """Make the run of an entry, in place of all that is there of its key."""

    def close(self) -> None:  # noqa: B027 - most have nothing to do
        """Let go of what is open."""
