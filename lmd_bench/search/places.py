"""Places: the nodes and GPUs that trials run on, and which of them are out of use.

A broken GPU ends its trials in seconds, so it is free again before all others and would be given
one trial after another. A place where three trials in a row end so, while trials like them go on
elsewhere, is taken out of use for the rest of the search.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

IN_A_ROW = 3  # faults, with nothing well in between
AT_ONCE = 30.0  # seconds; an error that took longer is the trial's own
OUTLIVES = 2.0  # times the life of the trials that failed: what runs so long elsewhere is well


@dataclass(frozen=True)
class Place:
    """Where a trial runs."""

    node: str  # Ray's id of the node
    host: str = field(default="", compare=False)
    gpu: str = ""  # Ray's number of it within the node; "" on a CPU

    def __str__(self) -> str:
        """Return it as people call it."""
        host = self.host or self.node
        return f"GPU {self.gpu} of {host}" if self.gpu else host


@dataclass(frozen=True)
class _Stay:
    place: Place
    method: str
    began: float


class Places:
    """What is known of the places of one run of the cluster."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Know none; `clock` gives seconds."""
        self.out: dict[Place, str] = {}  # place -> what spoke against it last
        self._clock = clock
        self._seen: dict[Place, None] = {}
        self._stays: dict[str, _Stay] = {}  # running trial -> where
        self._well: dict[str, set[Place]] = defaultdict(set)  # method -> where it ended well
        self._faults: dict[Place, dict[str, tuple[str, float]]] = {}  # in a row: key -> method, s

    def of(self, key: str) -> Place | None:
        """Return where a trial runs, as far as it has said so."""
        return self._stays[key].place if key in self._stays else None

    def usable(self, place: Place) -> bool:
        """Say whether trials may run at a place."""
        return place not in self.out

    def others(self, place: Place) -> bool:
        """Say whether there is another place that is in use."""
        return any(other != place and self.usable(other) for other in self._seen)

    def begins(self, key: str, place: Place, method: str) -> None:
        """Take note of where a trial begins."""
        self._seen[place] = None
        self._stays[key] = _Stay(place, method, self._clock())

    def leaves(self, key: str) -> None:
        """Take note of a trial that ended for a reason that says nothing of its place."""
        self._stays.pop(key, None)

    def went_well(self, key: str) -> None:
        """Take note of a trial that ended as trials end."""
        stay = self._stays.pop(key, None)
        if stay is not None:
            self._well[stay.method].add(stay.place)
            self._faults.pop(stay.place, None)

    def fault(self, key: str, cause: str) -> tuple[Place, ...]:
        """Take note of a death, or of a failure at once; return what that puts out of use."""
        stay = self._stays.pop(key, None)
        if stay is None or not self.usable(stay.place):
            return ()
        row = self._faults.setdefault(stay.place, {})
        row[key] = (stay.method, self._clock() - stay.began)
        if len(row) < IN_A_ROW or not self._well_elsewhere(stay.place):
            return ()
        # Of a node on which every GPU fails in a row, there is no need to try each three times.
        node = [place for place in self._seen if place.node == stay.place.node]
        whole = len(node) > 1 and all(self._faults.get(place) for place in node)
        return self._take_out(node if whole else [stay.place], cause)

    def forget(self) -> None:
        """Forget the places of a cluster that is gone; the next one has others."""
        for known in (self.out, self._seen, self._stays, self._well, self._faults):
            known.clear()

    def _well_elsewhere(self, place: Place) -> bool:
        """Say whether trials like those that failed here end well elsewhere, or outlive them."""
        faults = self._faults[place].values()
        methods = {method for method, _ in faults}
        lived = max(seconds for _, seconds in faults)
        well = {method for method, places in self._well.items() if places - {place}}
        well |= {
            stay.method
            for stay in self._stays.values()
            if stay.place != place and self._clock() - stay.began > OUTLIVES * lived
        }
        # A method that fails everywhere is wrong itself; where several fail in a row and others
        # hold, it is not the methods.
        return bool(methods & well) or len(methods) >= IN_A_ROW and bool(well)

    def _take_out(self, places: Iterable[Place], cause: str) -> tuple[Place, ...]:
        # The last place stays: without it nothing would run, and a study whose trials all fail
        # alike ends by itself.
        out = tuple(places)
        if not any(place not in out and self.usable(place) for place in self._seen):
            return ()
        self.out |= dict.fromkeys(out, cause)
        return out
