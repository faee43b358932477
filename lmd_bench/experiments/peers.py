"""What rows say of one another: runs of another configuration, and trials and seeds left out."""

from collections import defaultdict
from collections.abc import Sequence

from lmd_bench.core.schema import Row
from lmd_bench.store.packs import Fault
from lmd_bench.store.rows import spec_of

_RETRAINED = ("confirm", "race", "transfer")  # phases that take their configuration from a trial
_TAKEN = ("representation", "calibration", "n_epochs", "trial_number", "is_default")


def astray(rows: Sequence[Row]) -> list[Fault]:
    """Return the rows that are not what the search row that they name makes them.

    No key holds which trial a run names, and whose run it is decides what counts as tuned.
    """
    by_key = {row["key"]: row for row in rows}
    faults: list[Fault] = []
    for row in rows:
        source = by_key.get(row["source_key"]) if row["phase"] in _RETRAINED else None
        if source is not None and (what := _contradiction(row, source)):
            faults.append(Fault("source", row["key"], what))
        proposed_by = row["proposed_by"] if row["phase"] == "search" else None
        if proposed_by is not None and row["is_default"] != (proposed_by == "default"):
            what = f"is_default is {row['is_default']}, proposed_by is {proposed_by}"
            faults.append(Fault("source", row["key"], what))
    return faults


def _contradiction(run: Row, source: Row) -> str:
    """Return in words how a run is not of the row that it names; empty where it is."""
    if source["phase"] != "search" or source["status"] != "ok":
        return f"it retrains {source['key']}: phase {source['phase']}, status {source['status']}"
    other = [name for name in _TAKEN if run[name] != source[name]]
    if spec_of(run).config != spec_of(source).config:
        other.insert(0, "config_json")
    if run["phase"] != "transfer" and run["study"] != source["study"]:
        other.insert(0, "study")
    return f"{', '.join(other)}: not as in what it retrains, {source['key']}" if other else ""


def absent(rows: Sequence[Row]) -> list[Fault]:
    """Return what a set of rows lacks: trials between others, sources, seeds of one of two."""
    faults: list[Fault] = []
    keys = {row["key"] for row in rows}
    numbers: dict[str, set[int]] = defaultdict(set)
    seeds: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for row in rows:
        if row["phase"] == "search":
            numbers[row["study"]].add(row["trial_number"])
        if row["phase"] == "confirm":
            seeds[row["study"]][row["source_key"]].add(row["seed"])
    for study, of in numbers.items():
        if gaps := sorted(set(range(max(of) + 1)) - of):
            what = f"trial {', '.join(map(str, gaps[:5]))} is not there, and later ones are"
            faults.append(Fault("absent", study, what))
    for study, by_source in seeds.items():
        if study not in numbers:
            continue
        faults += [
            Fault("absent", source, "the trial whose configuration was confirmed is not there")
            for source in by_source
            if source and source not in keys
        ]
        every = set[int]().union(*by_source.values())
        faults += [
            Fault("absent", source, f"not confirmed on the seeds of the others: {lacking}")
            for source, of in by_source.items()
            if (lacking := sorted(every - of))
        ]
    return faults
