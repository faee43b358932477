"""What the leaderboard lacks, and the command that fills each gap."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from lmd_bench.core.schema import Row
from lmd_bench.leaderboard.studies.group import StudyRows
from lmd_bench.leaderboard.studies.rules import SelectionRule

_NOTHING = "all of it: searched, not confirmed, as where a study only lends its encoders"


class Command(Protocol):
    """Gives the command line of a command on a results folder."""

    def __call__(self, *words: str, rule: bool = True) -> str:
        """Return it; `rule` says whether the command takes `--rule`."""
        ...


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
