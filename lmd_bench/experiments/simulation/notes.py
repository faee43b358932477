"""What a simulation cannot tell, in sentences."""

from collections import defaultdict
from collections.abc import Sequence
from math import ceil

import pandas as pd

from lmd_bench.experiments.simulation.table import StudyTable
from lmd_bench.search.proposing.samplers import N_STARTUP

_LEARNING = ("tpe", "cmaes", "gp", "nsga2")  # their first N_STARTUP trials are drawn at random


def table_notes(tables: Sequence[StudyTable]) -> list[str]:
    """Return what is missing of the stored trials: studies too small, pruned ones, curves."""
    notes: list[str] = []
    problems: dict[str, list[str]] = defaultdict(list)
    for table in tables:
        name = f"{table.method} on {table.task}"
        if table.problem:
            problems[table.problem].append(name)
            continue
        n_pruned = sum(trial.status == "pruned" for trial in table.trials)
        if n_pruned:
            notes.append(
                f"{n_pruned} of the {len(table.trials)} trials of {name} had been pruned when they "
                "ran; what they would have come to is unknown, so replays end them there too"
            )
        n_bare = sum(trial.value is not None and not trial.curve for trial in table.trials)
        if n_bare and not table.staged:
            notes.append(f"{n_bare} trials of {name} have no curve, so no pruner can end them")
    return [
        *(f"not replayed, {why}: {', '.join(names)}" for why, names in problems.items()),
        *notes,
    ]


def sampler_notes(frame: pd.DataFrame, samplers: Sequence[str]) -> list[str]:
    """Return where the comparison of samplers says little, because a table is small.

    Args:
        frame: As `tuner_frame` gives it.
        samplers: Those that were compared.
    """
    notes: list[str] = []
    most: dict[str, tuple[int, float]] = {}  # stored trials, and those of the longest replays
    for line in frame.to_dict("records"):
        name, size = f"{line['method']} on {line['task']}", int(line["table"])
        most[name] = size, max(float(line["trials"]), most.get(name, (size, 0.0))[1])
    beyond = [
        f"{name} ({n:.3g} of {size})" for name, (size, n) in most.items() if n > ceil(size / 2)
    ]
    if beyond:
        notes.append(
            "beyond half of the stored trials all samplers must end up with the same ones, so "
            f"their differences say little: {', '.join(beyond)}"
        )
    learning = [name for name in samplers if name in _LEARNING]
    short = [name for name, (_, n) in most.items() if n <= N_STARTUP]
    if learning and short:
        notes.append(
            f"{', '.join(learning)} draw{'s' if len(learning) == 1 else ''} the first {N_STARTUP} "
            "trials at random, so in replays as short as these what sets samplers apart is chance, "
            f"and which stored trials are near to a random draw: {', '.join(short)}"
        )
    return notes
