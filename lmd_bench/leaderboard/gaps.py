"""What the leaderboard lacks, and the command that fills each gap."""

from dataclasses import dataclass

from lmd_bench.leaderboard.studies.group import Row, StudyRows
from lmd_bench.report.context import Context

_NOTHING = "all of it: searched, not confirmed, as where a study only lends its encoders"


@dataclass(frozen=True)
class Gap:
    """Configurations that were never judged on test, and that one command fills."""

    task: str
    labels: tuple[str, ...]
    what: str
    command: str


def gaps(context: Context) -> list[Gap]:
    """Return the configurations that the leaderboard names and nobody confirmed, task by task.

    Runs that failed are no gap: the leaderboard's notes name them.
    """
    labels: dict[tuple[str, str, str], list[str]] = {}
    for task, studies in context.tasks.items():
        for study in studies:
            for what, command in _of_study(context, study, _any_confirmed(studies)):
                labels.setdefault((task, what, command), []).append(study.label)
    return [
        Gap(task, tuple(names), what, command) for (task, what, command), names in labels.items()
    ]


def _of_study(context: Context, study: StudyRows, task_is_confirmed: bool) -> list[tuple[str, str]]:
    """Return what is missing of a study, and the command that fills it."""
    selected, default = study.selected(context.rule), study.default
    if selected is None:
        return []
    if not any(row["phase"] == "confirm" for row in study.rows):
        return [(_NOTHING, _command(context, selected, task_is_confirmed))]
    wanted = [("the tuned configuration", selected)]
    if default is not None and default["key"] != selected["key"] and default["status"] == "ok":
        wanted.append(("the default configuration", default))
    return [
        (what, _command(context, row, task_is_confirmed))
        for what, row in wanted
        if not study.runs(row)
    ]


def _command(context: Context, row: Row, task_is_confirmed: bool) -> str:
    if task_is_confirmed:
        return context.command("confirm", row["key"], rule=False)
    return row["command"] or "the same search again, to its end"  # there are no seeds to share yet


def _any_confirmed(studies: list[StudyRows]) -> bool:
    return any(row["phase"] == "confirm" for study in studies for row in study.rows)
