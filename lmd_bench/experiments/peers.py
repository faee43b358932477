"""What rows say of one another: runs of another configuration, and trials and seeds left out."""

from collections import defaultdict
from collections.abc import Sequence

from lmd_bench.core.schema import Row
from lmd_bench.leaderboard.studies.rules import VAL_BALANCED_ACCURACY, score
from lmd_bench.store.packs import Fault
from lmd_bench.store.rows import spec_of

_RETRAINED = ("confirm", "race", "transfer")  # phases that take their configuration from a trial
_LEAST_RACING = 2  # of the best on val
_LISTED = 3
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


def without_rounds(rows: Sequence[Row]) -> list[Fault]:
    """Return the configurations that lack runs of a race, which may be why they did not win it.

    A race starts with the two best on val or more, and the default stays in it to the end. What
    drops out has the first rounds of what stays.
    """
    trials: dict[str, list[Row]] = defaultdict(list)
    raced: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["phase"] == "search" and score(row, VAL_BALANCED_ACCURACY) is not None:
            trials[row["study"]].append(row)
        if row["phase"] == "race":
            raced[row["study"]][row["source_key"]].append(row)
    faults: list[Fault] = []
    for study, runs in raced.items():
        best = sorted(
            trials[study], key=lambda row: (-row["val_balanced_accuracy"], row["trial_number"])
        )
        what = "it has no run of the race that its study's best on val and default were in"
        faults += [
            Fault("absent", row["key"], what)
            for place, row in enumerate(best)
            if (place < _LEAST_RACING or row["is_default"]) and row["key"] not in runs
        ]
        seeds = {key: {run["seed"] for run in of} for key, of in runs.items()}
        every = set[int]().union(*seeds.values())
        for key, own in seeds.items():
            is_holed = any(own - of for of in seeds.values() if len(of) > len(own))
            stays = all(run["is_default"] and run["status"] == "ok" for run in runs[key])
            if is_holed or (stays and own != every):
                faults.append(Fault("absent", key, "rounds of its race have gaps"))
    return faults


def fewer_seeds(rows: Sequence[Row]) -> list[str]:
    """Return a note on studies that are confirmed on fewer seeds than others of their search.

    A search may have been told to; so may whoever gives the results away have left some out.
    """
    search = {row["study"]: row["seed"] for row in rows if row["phase"] == "search"}
    seeds: dict[tuple[str, int], dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for row in rows:
        if row["phase"] == "confirm" and row["study"] in search:
            group = row["task_fingerprint"], search[row["study"]]
            seeds[group][row["study"]].add(row["seed"])
    lacking = {
        study: sorted(every - own)
        for of in seeds.values()
        for every in [set[int]().union(*of.values())]
        for study, own in of.items()
        if every - own
    }
    if not lacking:
        return []
    named = [f"{study} lacks {', '.join(map(str, of))}" for study, of in lacking.items()]
    return [
        f"{len(lacking)} studies are confirmed on fewer seeds than others of their search, or some "
        f"were left out: {'; '.join(named[:_LISTED])}"
    ]
