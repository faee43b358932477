"""`lmd-bench simulate`: what is asked for, and the tables of its answer."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import pandas as pd

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import OF_A_STUDY, Row
from lmd_bench.experiments.simulation.export import read_tables, write_tables
from lmd_bench.experiments.simulation.pruners import pruner_frame
from lmd_bench.experiments.simulation.replay import OnStep, Setting, no_step
from lmd_bench.experiments.simulation.staging import find_pairs, stage_frame
from lmd_bench.experiments.simulation.table import StudyTable, tables_of
from lmd_bench.experiments.simulation.tuners import Replays, tuner_frame
from lmd_bench.search.proposing.pruning import check_pruner
from lmd_bench.search.proposing.samplers import LEARNS_FROM, check_sampler
from lmd_bench.store.store import open_store

PARTS = ("samplers", "pruners", "stages")


@dataclass(frozen=True)
class Request:
    """What is to be simulated."""

    samplers: tuple[str, ...]
    pruners: tuple[str, ...]
    n_trials: int | None = None
    hours: float | None = None
    n_workers: int = 1
    repeats: int = 30
    seed: int = 0
    top_k: int = 3
    methods: tuple[str, ...] = ()  # none: all
    ignore_deferral: bool = False
    grace_period: int = 1
    parts: tuple[str, ...] = PARTS

    def __post_init__(self) -> None:
        """Check names and numbers.

        Raises:
            UserError: an unknown sampler or pruner, a budget in two units, or a number too small.
        """
        for sampler in self.samplers:
            check_sampler(sampler)
        for pruner in self.pruners:
            check_pruner(pruner)
        if self.n_trials is not None and self.hours is not None:
            raise UserError("A replay has --trials or --hours as its budget; give one of them.")
        least = {"--trials": self.n_trials, "--workers": self.n_workers}
        least |= {"--repeats": self.repeats, "--top-k": self.top_k}
        least |= {"--grace-period": self.grace_period}
        for option, value in least.items():
            if value is not None and value < 1:
                raise UserError(f"{option} {value} is not possible; give 1 or more.")
        if self.hours is not None and not self.hours > 0:
            raise UserError(f"--hours {self.hours:g} is not possible; give more than 0.")

    @property
    def budget(self) -> Setting:
        """Return the budget of each replay."""
        return Setting(
            grace_period=self.grace_period,
            n_trials=self.n_trials,
            hours=self.hours,
            n_workers=self.n_workers,
        )


@dataclass(frozen=True)
class Simulation:
    """The answer."""

    tables: tuple[StudyTable, ...]  # those that were replayed
    frames: dict[str, pd.DataFrame]  # by part
    notes: tuple[str, ...]


def stored_tables(results: Path) -> tuple[list[StudyTable], Sequence[Row]]:
    """Return the tables of a results folder, and the rows they are made of.

    Raises:
        UserError: no results there, or no rows of a search.
    """
    rows = [row for row in open_store(results).rows() if row["phase"] in OF_A_STUDY]
    tables = tables_of(rows)
    if not tables:
        raise UserError(
            f"There are no trials of a search in {results} to replay; run lmd-bench search first, "
            "or name another folder with --results."
        )
    return tables, rows


def export(results: Path, methods: Sequence[str], folder: Path) -> list[StudyTable]:
    """Write the tables of a results folder to a new one, and return them.

    Raises:
        UserError: nothing to write, or the folder is not to be had.
    """
    tables, rows = stored_tables(results)
    chosen = chosen_tables(tables, methods)
    studies = {table.study for table in chosen}
    write_tables(chosen, [row for row in rows if row["study"] in studies], folder)
    return chosen


def simulate(
    source: Path, exported: bool, request: Request, on_step: OnStep = no_step
) -> Simulation:
    """Replay the stored trials of a folder.

    Args:
        source: A results folder, or an exported table.
        exported: Which of the two.
        request: What is replayed.
        on_step: Is told of each step.

    Raises:
        UserError: the folder holds nothing that can be replayed.
    """
    all_tables = read_tables(source) if exported else stored_tables(source)[0]
    tables = chosen_tables(all_tables, request.methods)
    usable = tuple(table for table in tables if not table.problem)
    if not usable:
        first = tables[0]
        raise UserError(
            f"No study in {source} can be replayed ({first.method}: {first.problem}); let its "
            "search go on, or name another folder."
        )
    frames: dict[str, pd.DataFrame] = {}
    notes: list[str] = []
    if "samplers" in request.parts:
        asked = Replays(
            request.samplers, request.pruners, request.budget, request.repeats, request.seed
        )
        differ = [table for table in usable if len(asked.samplers_of(table)) > 1]
        if len(request.samplers) > 1 and not differ and request.parts == ("samplers",):
            raise UserError(_all_alike(request.samplers, usable))
        frames["samplers"] = tuner_frame(usable, asked, on_step)
        notes += [*alike_notes(usable, asked), *sampler_notes(frames["samplers"])]
    if "pruners" in request.parts:
        frames["pruners"] = pruner_frame(
            usable,
            request.pruners,
            request.repeats,
            request.seed,
            request.n_workers,
            request.ignore_deferral,
            request.grace_period,
            on_step,
        )
    if "stages" in request.parts:
        # a calibration stands on encoders of other methods' studies: all are looked at
        wanted = {table.study for table in tables}
        pairs, lacking = find_pairs(all_tables)
        frames["stages"] = stage_frame(
            [pair for pair in pairs if pair.staged.study in wanted],
            request.samplers,
            request.budget,
            request.repeats,
            request.seed,
            request.top_k,
            on_step,
        )
        notes += [sentence for sentence, study in lacking if study in wanted]
    return Simulation(usable, frames, (*table_notes(tables), *notes))


def chosen_tables(tables: Sequence[StudyTable], methods: Sequence[str]) -> list[StudyTable]:
    """Return the tables of some methods; all where none is named.

    Raises:
        UserError: a method that has no study here.
    """
    names = sorted({table.method for table in tables})
    for method in methods:
        if method not in names:
            raise UserError(
                f"There is no study of '{method}' here; choose from {', '.join(names)}."
            )
    return [table for table in tables if not methods or table.method in methods]


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


def alike_notes(tables: Sequence[StudyTable], asked: Replays) -> list[str]:
    """Return which samplers are not shown on which tables, as they are random search there."""
    left_out: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for table in tables:
        shown = asked.samplers_of(table)
        if names := tuple(name for name in asked.samplers if name not in shown):
            left_out[names].append(f"{table.method} on {table.task}")
    return [
        f"{', '.join(names)} not shown, as a study of so few trials (below {LEARNS_FROM} for a "
        f"sampler that fits a model) is drawn at random whatever the sampler: {', '.join(where)}"
        for names, where in left_out.items()
    ]


def _all_alike(samplers: Sequence[str], tables: Sequence[StudyTable]) -> str:
    most = max(len(table.trials) for table in tables)
    return (
        f"The samplers {', '.join(samplers)} are one and the same here: replays of fewer than "
        f"{LEARNS_FROM} trials are drawn at random by all of them. Give --trials {LEARNS_FROM} or "
        f"more on studies that have more trials (the largest here has {most}), or --show pruners."
    )


def sampler_notes(frame: pd.DataFrame) -> list[str]:
    """Return where the comparison of samplers says little, because a table is small.

    Args:
        frame: As `tuner_frame` gives it.
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
    return notes
