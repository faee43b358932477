"""Cells of the leaderboard that nothing was run for, and the commands that fill them."""

import shlex
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmd_bench.core.schema import Row
from lmd_bench.leaderboard.studies.group import StudyRows, outcomes
from lmd_bench.leaderboard.studies.rules import SelectionRule

Line = Mapping[str, Any]


def unconfirmed(studies: Sequence[StudyRows], rule: SelectionRule, results: str) -> list[str]:
    """Return a note on each study that was searched and of which nothing is confirmed.

    `lmd-bench confirm` takes its seeds from confirmed runs of the task; where there are none yet,
    the search itself has to end.

    Args:
        studies: Of any number of tasks.
        rule: What selects the configuration of each study.
        results: The option of a command that names the results folder.
    """
    with_seeds = {study.task for study in studies if study.is_confirmed}
    notes: list[str] = []
    for study in studies:
        selected = None if study.is_confirmed else study.selected(rule)
        if selected is not None:
            way = "its search run to the end, with --confirm-seeds above 0, fills it"
            if study.task in with_seeds:
                way = f"lmd-bench confirm {selected['key']}{results} fills it"
            name = f"{study.method} on {study.task} ({outcomes(study.trials)})"
            notes.append(f"searched, not confirmed: {name}; {way}")
    return notes


def never_searched(studies: Sequence[StudyRows], lines: Sequence[Line], results: str) -> list[str]:
    """Return a note on each task that lacks methods which another task's lines have.

    Args:
        studies: All studies.
        lines: Of the leaderboard.
        results: The option of a command that names the results folder.
    """
    known: dict[str, set[str]] = defaultdict(set)
    for study in studies:
        known[study.task].add(study.method)
    of_task: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        of_task[line["task"]].append(line)
    methods = sorted({line["method"] for line in lines})
    notes: list[str] = []
    for task, members in of_task.items():
        lacking = [method for method in methods if method not in known[task]]
        if lacking:
            command = search_command(members, lacking, results)
            notes.append(
                f"missing, never searched: {', '.join(lacking)} on {task}; {command}, with the "
                "other options of that task's search, fills it"
            )
    return notes


def search_command(lines: Sequence[Line], methods: Sequence[str], results: str) -> str:
    """Return the search of methods on the task of some lines, at the budget of the largest."""
    first = lines[0]
    factor = first["imbalance_factor"]
    words = ["lmd-bench", "search", "--dataset", first["dataset"], "--protocol", first["protocol"]]
    words += ["--imbalance-factor", "natural" if factor is None else f"{factor:g}"]
    words += ["--image-size", str(first["image_size"])]
    words += ["--split-seed", str(first["split_seed"])] if first["split_seed"] else []
    words += [] if first["n_max"] is None else ["--n-max", str(first["n_max"])]
    words += ["--method", ",".join(methods)]
    words += ["--trials", str(max(line["n_trials"] for line in lines))]
    words += ["--epochs", str(max(line["n_epochs"] for line in lines))]
    n_seeds = max(line["n_seeds"] + line["n_seeds_failed"] for line in lines)
    words += ["--confirm-seeds", str(n_seeds)] if n_seeds else []
    return shlex.join(words) + results


_NOTHING = "all of it: searched, not confirmed, as where a study only lends its encoders"


Command = Callable[..., str]  # the words of a command, and whether it takes `--rule`


@dataclass(frozen=True)
class Gap:
    """Configurations that were never judged on test, and that one command fills."""

    task: str
    labels: tuple[str, ...]
    what: str
    command: str


def gaps(
    tasks: Mapping[str, Sequence[StudyRows]], rule: SelectionRule, command: Command
) -> list[Gap]:
    """Return the configurations that the leaderboard names and nobody confirmed, task by task.

    Runs that failed are no gap: the leaderboard's notes name them.

    Args:
        tasks: the studies of each task.
        rule: what selects the configuration of each study.
        command: gives the command line of a command on this results folder.
    """
    labels: dict[tuple[str, str, str], list[str]] = {}
    for task, studies in tasks.items():
        can_confirm = _any_confirmed(studies)  # else there are no seeds to share yet
        for study in studies:
            for what, row in _of_study(study, rule):
                fills = row["command"] or "the same search again, to its end"
                if can_confirm:
                    fills = command("confirm", row["key"], rule=False)
                labels.setdefault((task, what, fills), []).append(study.label)
    return [Gap(task, tuple(names), what, fills) for (task, what, fills), names in labels.items()]


def _of_study(study: StudyRows, rule: SelectionRule) -> list[tuple[str, Row]]:
    """Return what is missing of a study, and the row whose confirmation fills it."""
    selected, default = study.selected(rule), study.default
    if selected is None:
        return []
    if not study.is_confirmed:
        return [(_NOTHING, selected)]
    wanted = [("the tuned configuration", selected)]
    if default is not None and default["key"] != selected["key"] and default["status"] == "ok":
        wanted.append(("the default configuration", default))
    return [(what, row) for what, row in wanted if not study.runs(row)]


def _any_confirmed(studies: Sequence[StudyRows]) -> bool:
    return any(study.is_confirmed for study in studies)
