"""Sends the rows of a results folder to a tracker: what is there already is not sent again."""

import os
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa

from lmd_bench.core import plugins
from lmd_bench.core.errors import UserError, unknown
from lmd_bench.store.columns import COLUMNS
from lmd_bench.store.following import Follower
from lmd_bench.store.store import Store, open_store
from lmd_bench.tracking.entry import entry_of
from lmd_bench.tracking.trackers import Tracker

_LONGEST = 300  # characters of a cause


@dataclass(frozen=True)
class Destination:
    """A tracker, and the place of its runs."""

    tracker: str
    uri: str = ""  # a URL or a folder; "": the tracker's own

    @property
    def command(self) -> str:
        """Return the options of `sync` that send there."""
        return f"--to {self.tracker}" + (f" --uri {self.uri}" if self.uri else "")


def destinations(asked: Sequence[str]) -> tuple[Destination, ...]:
    """Return where `--track` sends rows: `mlflow`, or `mlflow=http://HOST:5000`.

    Raises:
        UserError: no such tracker, one that comes twice, or one whose package is not installed.
    """
    found = [Destination(name, uri) for name, _, uri in (text.partition("=") for text in asked)]
    for place in found:
        tracker_class(place.tracker)
        if [other.tracker for other in found].count(place.tracker) > 1:
            raise UserError(f"Tracker {place.tracker} comes twice; leave one of them out.")
    return tuple(found)


def tracker_class(name: str) -> type[Tracker]:
    """Return the class of a tracker, without importing its package.

    Raises:
        UserError: no such tracker, or its package is not installed.
    """
    if name not in (choices := plugins.names("trackers")):
        raise unknown("tracker", name, choices)
    cls: type[Tracker] = plugins.plugin_class("trackers", name)
    if find_spec(cls.package) is None:
        raise UserError(
            f"Tracker {name} needs the package {cls.package}, which is not installed; pip install "
            f"'lmd-bench[{name}]' brings it."
        )
    return cls


@contextmanager
def opened(place: Destination, results: Path) -> Iterator[Tracker]:
    """Open a tracker; what its package warns of is nothing that a person here could mend.

    Raises:
        UserError: no such tracker, or its package is not installed.
    """
    cls = tracker_class(place.tracker)
    for name, value in cls.environment.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tracker = cls(place.uri or cls.default(results.resolve()))
        try:
            yield tracker
        finally:
            tracker.close()


@dataclass(frozen=True)
class Sent:
    """What came of a sending."""

    n_sent: int
    n_before: int  # rows that were there
    uri: str


def send_all(
    results: Path,
    place: Destination,
    on_row: Callable[[int, int], None] = lambda done, total: None,
) -> Sent:
    """Send all rows of a results folder that a tracker does not have.

    Args:
        results: The folder.
        place: Where they go.
        on_row: Is told of each: how many are sent, and how many there are to send.

    Raises:
        UserError: no results there, an unknown tracker, or one that does not take them.
    """
    store = open_store(results)
    uri = place.uri or tracker_class(place.tracker).default(results.resolve())
    try:
        with opened(place, results) as tracker:
            sender = Sender(store, tracker)
            n_sent = sender.send(on_row)
    except UserError:
        raise
    # The border to packages and servers that are not ours.
    except Exception as error:
        cause = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST]
        raise UserError(
            f"{place.tracker} at {uri} does not take the rows ({cause}); when it does, the same "
            "command goes on."
        ) from error
    return Sent(n_sent, sender.n_rows - n_sent, uri)


class Sender:
    """Sends what is new in a store, again and again."""

    def __init__(
        self, store: Store, tracker: Tracker, studies: Collection[str] | None = None
    ) -> None:
        """Send the rows of some studies; None: of all."""
        self._rows = Follower(store, COLUMNS.names)
        self._tracker = tracker
        self._studies = studies
        self._stamps = dict(tracker.stamps())
        self.n_rows = 0  # that were there to be sent, or were sent, at the last look

    def send(self, on_row: Callable[[int, int], None] = lambda done, total: None) -> int:
        """Send the rows that are not there; return how many.

        Args:
            on_row: Is told of each: how many are sent, and how many there are to send.
        """
        new = self._new()
        # Row by row: a curve makes a row of many kB.
        for done in range(new.num_rows):
            entry = entry_of(new.slice(done, 1).to_pylist()[0])
            self._tracker.send(entry)
            self._stamps[entry.key] = entry.stamp
            on_row(done + 1, new.num_rows)
        return new.num_rows

    def _new(self) -> pa.Table:
        table = self._rows.table()
        self.n_rows = table.num_rows
        facts = (table[name].to_pylist() for name in ("key", "finished_at", "study"))
        return table.filter(
            pa.array(
                [
                    self._stamps.get(key) != stamp
                    and (self._studies is None or study in self._studies)
                    for key, stamp, study in zip(*facts, strict=True)
                ],
                pa.bool_(),
            )
        )
