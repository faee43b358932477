"""What the leaderboard lacks as nothing was run for it, and the commands that fill it.

A note of the leaderboard and a row of the report's table are two ways to show one `Gap`. Runs that
failed are no gap: the leaderboard's notes name them.
"""

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lmd_bench.core.text import factor_name
from lmd_bench.data.options import split_words
from lmd_bench.leaderboard.line import BoardLine
from lmd_bench.leaderboard.studies.group import StudyRows, outcomes
from lmd_bench.leaderboard.studies.rules import SelectionRule


@dataclass(frozen=True)
class Gap:
    """Configurations that were never judged on test, and that one command fills."""

    task: str
    labels: tuple[str, ...]  # of the methods, as the leaderboard calls them
    what: str  # is missing of them
    command: str
    note: str = ""  # the sentence of the leaderboard; empty where a dash in its line says it
    waiting: str = ""  # a method that was only searched, and its trials
    keys: tuple[str, ...] = ()  # of the rows to confirm; none: the search has to end


def gaps_of(study: StudyRows, rule: SelectionRule, results: str, *, can_confirm: bool) -> list[Gap]:
    """Return what nobody confirmed of one study.

    Args:
        study: Of any task.
        rule: What selects its configuration.
        results: The option of a command that names the results folder.
        can_confirm: Whether anything of its task is confirmed. `lmd-bench confirm` takes its seeds
            from there; where there are none yet, the search itself has to end.
    """
    selected, default = study.selected(rule), study.default
    if selected is None:
        return []
    name = f"{study.method} on {study.task}"
    if not study.is_confirmed:
        counts = outcomes(study.trials)
        what = "all of it: searched, not confirmed, as where a study only lends its encoders"
        command = selected["command"] or "the same search again, to its end"
        keys = (selected["key"],) if can_confirm else ()
        if can_confirm:
            command = _confirm(keys, results)
        waiting = f"{study.method} ({counts})"
        return [Gap(study.task, (study.label,), what, command, waiting=waiting, keys=keys)]
    gaps: list[Gap] = []
    if not study.runs(selected):
        command = _confirm([selected["key"]], results)
        note = f"missing, as only other configurations are confirmed: {name}; {command} fills it"
        gaps.append(Gap(study.task, (study.label,), "the tuned configuration", command, note))
    # a default that failed, or that was itself selected, is nothing to confirm
    if (
        default is not None
        and default["key"] != selected["key"]
        and default["status"] == "ok"
        and not study.runs(default)
    ):
        command = _confirm([default["key"]], results)
        gaps.append(Gap(study.task, (study.label,), "the default configuration", command))
    return gaps


def never_searched(
    studies: Sequence[StudyRows], lines: Sequence[BoardLine], results: str
) -> list[Gap]:
    """Return the methods that each task lacks and another task's lines have.

    Args:
        studies: All studies.
        lines: Of the leaderboard.
        results: The option of a command that names the results folder.
    """
    searched: dict[str, set[str]] = defaultdict(set)
    for study in studies:
        searched[study.task].add(study.method)
    lines_of_task: dict[str, list[BoardLine]] = defaultdict(list)
    for line in lines:
        lines_of_task[line.task].append(line)
    methods = sorted({line.method for line in lines})
    gaps: list[Gap] = []
    for task, members in lines_of_task.items():
        lacking = tuple(method for method in methods if method not in searched[task])
        if lacking:
            command = search_command(members, lacking, results)
            note = (
                f"missing, never searched: {', '.join(lacking)} on {task}; {command}, with the "
                "other options of that task's search, fills it"
            )
            gaps.append(Gap(task, lacking, "all of it: never searched", command, note))
    return gaps


def notes_of(gaps: Sequence[Gap], results: str) -> list[str]:
    """Return the sentences of gaps, one for all methods of a task that were only searched.

    Args:
        gaps: In the order of their notes.
        results: The option of a command that names the results folder.
    """
    waiting: dict[tuple[str, bool], list[Gap]] = defaultdict(list)
    for gap in gaps:
        if gap.waiting:
            waiting[gap.task, bool(gap.keys)].append(gap)
    notes: list[str] = []
    for (task, can_confirm), members in waiting.items():
        alike = Counter(gap.waiting for gap in members)  # a method has a study in each search
        methods = ", ".join(f"{n} x {name}" if n > 1 else name for name, n in alike.items())
        fills = "the search run to its end, with --confirm-seeds above 0,"
        if can_confirm:
            fills = _confirm([key for gap in members for key in gap.keys], results)
        notes.append(f"searched, not confirmed: {methods} on {task}; {fills} fills it")
    return notes + [gap.note for gap in gaps if gap.note]


def by_command(gaps: Iterable[Gap]) -> list[Gap]:
    """Return gaps without notes, those that one command fills as one, where the first stands."""
    labels: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for gap in gaps:
        labels[gap.task, gap.what, gap.command] += gap.labels
    return [Gap(task, tuple(names), what, fills) for (task, what, fills), names in labels.items()]


def search_command(lines: Sequence[BoardLine], methods: Sequence[str], results: str) -> str:
    """Return the search of methods on the task of some lines, at the budget of the largest."""
    first = lines[0]
    words = ["lmd-bench", "search", "--dataset", first.dataset]
    words += split_words(first.protocol, first.split_seed)
    words += ["--imbalance-factor", factor_name(first.imbalance_factor)]
    # Features have no size.
    words += ["--image-size", str(first.image_size)] if first.image_size else []
    words += [] if first.n_max is None else ["--n-max", str(first.n_max)]
    words += ["--method", ",".join(methods)]
    words += _budget(lines)
    words += ["--epochs", str(max(line.n_epochs for line in lines))]
    n_seeds = max(line.n_seeds + line.n_seeds_failed for line in lines)
    words += ["--confirm-seeds", str(n_seeds)] if n_seeds else []
    return shlex.join(words) + results


def _budget(lines: Sequence[BoardLine]) -> list[str]:
    """Return the options that give as many trials as these lines have."""
    of_two_stages = [line for line in lines if line.n_stage1_trials]
    n_trials = max(max(line.n_trials, line.n_stage1_trials) for line in of_two_stages or lines)
    # Methods of one stage have more than one stage of the others where totals were equal.
    is_total = bool(of_two_stages) and any(line.n_trials > n_trials for line in lines)
    return ["--trials", str(n_trials), *([] if is_total else ["--budget", "per-study"])]


def _confirm(keys: Sequence[str], results: str) -> str:
    return f"lmd-bench confirm {' '.join(keys)}{results}"
