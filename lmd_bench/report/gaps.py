"""What the leaderboard lacks, and the command that fills each gap."""

from dataclasses import dataclass

from lmd_bench.leaderboard.studies import Row, StudyRows
from lmd_bench.report.context import Context


@dataclass(frozen=True)
class Gap:
    """A configuration that was never judged on test."""

    task: str
    label: str
    what: str
    command: str


def gaps(context: Context) -> list[Gap]:
    """Return the configurations that the leaderboard names and nobody confirmed, task by task.

    Runs that failed are no gap: the leaderboard's notes name them.
    """
    return [
        gap
        for studies in context.tasks.values()
        for study in studies
        for gap in _of_study(context, study, _any_confirmed(studies))
    ]


def _of_study(context: Context, study: StudyRows, task_is_confirmed: bool) -> list[Gap]:
    selected, default = study.selected(context.rule), study.default
    if selected is None:
        return []
    wanted = [("the tuned configuration", selected)]
    if default is not None and default["key"] != selected["key"] and default["status"] == "ok":
        wanted.append(("the default configuration", default))
    return [
        Gap(study.task, study.label, what, _command(context, row, task_is_confirmed))
        for what, row in wanted
        if not study.runs(row)
    ]


def _command(context: Context, row: Row, task_is_confirmed: bool) -> str:
    if task_is_confirmed:
        return context.command("confirm", row["key"], rule=False)
    return row["command"] or "the same search again, to its end"  # there are no seeds to share yet


def _any_confirmed(studies: list[StudyRows]) -> bool:
    return any(row["phase"] == "confirm" for study in studies for row in study.rows)
