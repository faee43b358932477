"""What every section of the report looks at: the rows, read once."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import Row
from lmd_bench.leaderboard.board import Leaderboard, build
from lmd_bench.leaderboard.missing import Gap
from lmd_bench.leaderboard.studies.group import (
    StudyRows,
    ablated_studies,
    by_table,
    by_task,
    group_studies,
    left_out,
    repeated,
)
from lmd_bench.leaderboard.studies.predictions import Judged, read_repeats
from lmd_bench.leaderboard.studies.read import unreadable
from lmd_bench.leaderboard.studies.rules import VAL_BALANCED_ACCURACY, SelectionRule
from lmd_bench.report.confirmed import Confirmed, read_confirmed
from lmd_bench.store.from_logits import with_val_counts
from lmd_bench.store.row_files import in_order
from lmd_bench.store.store import Store, open_store

if TYPE_CHECKING:
    from lmd_bench.report.searched import Searched


@dataclass(frozen=True, eq=False)
class Context:
    """A results folder as a rule sees it."""

    store: Store
    rows: Sequence[Row]  # all that can be read
    rule: SelectionRule
    notes: tuple[str, ...] = ()  # on what cannot be read
    called: str = ""  # how commands name the folder; empty: where it lies here

    @cached_property
    def studies(self) -> list[StudyRows]:
        """Return all studies of methods; trials by hand and cells of ablations belong to none."""
        return group_studies(self._of_methods)

    @cached_property
    def tasks(self) -> Mapping[str, list[StudyRows]]:
        """Return the studies of each task that was searched, tasks in the leaderboard's order."""
        searched = [study for study in self.studies if study.trials]
        return by_task(sorted(searched, key=_place))

    @cached_property
    def board(self) -> Leaderboard:
        """Return the leaderboard."""
        ids = frozenset(row["study"] for row in self.rows)
        notes = (*self.notes, *left_out(self._cells, ids))
        return build(self._of_methods, self.rule, notes, None, self._results, store=self.store)

    @cached_property
    def gaps(self) -> list[Gap]:
        """Return what the leaderboard lacks, in the order of its tasks and their methods."""
        place = {task: number for number, task in enumerate(self.tasks)}
        return sorted(self.board.gaps, key=lambda gap: (place[gap.task], gap.labels))

    @cached_property
    def confirmed(self) -> Sequence[Confirmed]:
        """Return what is confirmed of each study's selected configuration, with its logits."""
        read = (read_confirmed(self.store, study, self.rule) for study in self.studies)
        return [confirmed for confirmed in read if confirmed is not None]

    @cached_property
    def judged(self) -> Mapping[str, Sequence[Judged]]:
        """Return what the methods of each task got right on test, repeats of a search as one."""
        tasks: dict[str, list[Judged]] = {}
        searched = [study for studies in self.tasks.values() for study in studies]
        for task, studies in by_table(searched).items():
            judged = tasks.setdefault(task, [])
            for repeats in repeated(studies):
                try:
                    read = read_repeats(self.store, repeats, self.rule)
                except UserError:  # one damaged file costs its method, not the report
                    continue
                judged += [read] if read is not None else []
        return tasks

    @cached_property
    def searched(self) -> "Mapping[str, list[Searched]]":
        """Return the trials of each task's studies, as Optuna sees them."""
        from lmd_bench.report.searched import searched  # Optuna takes a second to import

        return {
            task: [searched(study) for study in studies] for task, studies in self.tasks.items()
        }

    @cached_property
    def styles(self) -> Mapping[tuple[str, str], int]:
        """Return the style of each task's methods, the same in every figure."""
        return {
            (task, label): number
            for task, studies in self.tasks.items()
            for number, label in enumerate(sorted(study.label for study in studies))
        }

    def n_rows(self, phase: str) -> int:
        """Return how many rows are of a phase."""
        return sum(row["phase"] == phase for row in self.rows)

    def command(self, *words: str, rule: bool = True) -> str:
        """Return a command on these results, like `lmd-bench tuning --results DIR`.

        Args:
            words: The command and its options.
            rule: Whether it takes `--rule`; the default rule is left out.
        """
        chosen = rule and self.rule is not VAL_BALANCED_ACCURACY
        option = f" --rule {self.rule.name}" if chosen else ""
        return f"lmd-bench {shlex.join(words)}{self._results}{option}"

    def redraw(self, section: str) -> str:
        """Return the command that writes one section alone."""
        return self.command("report", "--only", section, "--out", f"{section}.html")

    @cached_property
    def _cells(self) -> frozenset[str]:
        return ablated_studies(self.store.root)

    @cached_property
    def _of_methods(self) -> Sequence[Row]:
        return [row for row in self.rows if row["study"] not in self._cells]

    @property
    def _results(self) -> str:
        return f" --results {shlex.quote(self.called or str(self.store.root))}"


def _place(study: StudyRows) -> tuple[str, str, float, int, str, str]:
    row = study.rows[0]
    factor = row["imbalance_factor"] or 0.0
    return row["dataset"], row["protocol"], factor, row["image_size"], study.task, study.label


def read_context(root: Path, rule: SelectionRule) -> Context:
    """Return the context of a results folder.

    Raises:
        UserError: no results there, or none that can be read.
    """
    store = open_store(root)
    scan = store.scan()
    rows: Sequence[Row] = in_order(scan.table).to_pylist()
    if not rows:
        raise UserError(
            f"There are no rows in {root} that can be read; run lmd-bench search first, or name "
            "another folder with --results."
        )
    if rule.needs_val_counts:
        rows = with_val_counts(store, rows)
    return Context(store, rows, rule, unreadable(scan.damaged, root))
