"""`lmd-bench simulate`: what is asked for, and the tables of its answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import OF_A_STUDY
from lmd_bench.experiments.simulation.export import read_tables, write_tables
from lmd_bench.experiments.simulation.notes import sampler_notes, table_notes
from lmd_bench.experiments.simulation.pruners import pruner_frame
from lmd_bench.experiments.simulation.replay import Setting
from lmd_bench.experiments.simulation.staging import find_pairs, stage_frame
from lmd_bench.experiments.simulation.table import StudyTable, tables_of
from lmd_bench.experiments.simulation.tuners import Comparison, tuner_frame
from lmd_bench.search.proposing.pruning import check_pruner
from lmd_bench.search.proposing.samplers import check_sampler
from lmd_bench.store.rows import Row
from lmd_bench.store.store import open_store

PARTS = ("samplers", "pruners", "stages")
Report = Callable[[str], None]


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
        for option, value in least.items():
            if value is not None and value < 1:
                raise UserError(f"{option} {value} is not possible; give 1 or more.")
        if self.hours is not None and not self.hours > 0:
            raise UserError(f"--hours {self.hours:g} is not possible; give more than 0.")

    @property
    def budget(self) -> Setting:
        """Return the budget of each replay."""
        return Setting(n_trials=self.n_trials, hours=self.hours, n_workers=self.n_workers)


@dataclass(frozen=True)
class Simulation:
    """The answer."""

    tables: tuple[StudyTable, ...]  # those that were replayed
    frames: dict[str, pd.DataFrame]  # by part
    notes: tuple[str, ...]


def stored_tables(results: Path) -> tuple[list[StudyTable], list[Row]]:
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
    source: Path, exported: bool, request: Request, report: Report = lambda what: None
) -> Simulation:
    """Replay the stored trials of a folder.

    Args:
        source: A results folder, or an exported table.
        exported: Which of the two.
        request: What is replayed.
        report: Is told of each step.

    Raises:
        UserError: the folder holds nothing that can be replayed.
    """
    known = read_tables(source) if exported else stored_tables(source)[0]
    tables = chosen_tables(known, request.methods)
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
        comparison = Comparison(
            request.samplers, request.pruners, request.budget, request.repeats, request.seed
        )
        frames["samplers"] = tuner_frame(usable, comparison, report)
        notes += sampler_notes(frames["samplers"], request.samplers)
    if "pruners" in request.parts:
        frames["pruners"] = pruner_frame(
            usable,
            request.pruners,
            request.repeats,
            request.seed,
            request.n_workers,
            request.ignore_deferral,
            report,
        )
    if "stages" in request.parts:
        # a calibration stands on encoders of other methods' studies: all are looked at
        wanted = {table.study for table in tables}
        pairs, lacking = find_pairs(known)
        frames["stages"] = stage_frame(
            [pair for pair in pairs if pair.staged.study in wanted],
            request.samplers,
            request.budget,
            request.repeats,
            request.seed,
            request.top_k,
            report,
        )
        notes += [sentence for sentence, study in lacking if study in wanted]
    return Simulation(usable, frames, (*table_notes(tables), *notes))


def chosen_tables(tables: Sequence[StudyTable], methods: Sequence[str]) -> list[StudyTable]:
    """Return the tables of some methods; all where none is named.

    Raises:
        UserError: a method that has no study here.
    """
    known = sorted({table.method for table in tables})
    for method in methods:
        if method not in known:
            raise UserError(
                f"There is no study of '{method}' here; choose from {', '.join(known)}."
            )
    return [table for table in tables if not methods or table.method in methods]
