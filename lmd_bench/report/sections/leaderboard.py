"""Each task's methods by their score on test, and the commands that fill what is missing."""

from collections.abc import Callable, Sequence
from math import isnan, nan
from typing import Any

from lmd_bench.leaderboard.missing import by_command
from lmd_bench.leaderboard.tables.columns import (
    MARKED,
    TUNED,
    Score,
    board_scores,
    interval_text,
    number,
    settings_text,
    swept_text,
    trials_text,
)
from lmd_bench.leaderboard.tables.render import FEWER, header
from lmd_bench.report.blocks import (
    Block,
    Cell,
    Head,
    Heading,
    Listing,
    Section,
    Table,
    Text,
    command,
    duration,
    missing,
    notes,
    percent,
    words,
)
from lmd_bench.report.blocks import row as table_row
from lmd_bench.report.context import Context

Line = dict[str, Any]
_SCORES = board_scores()
_OTHERS: tuple[tuple[str, Callable[[Line], Cell]], ...] = (
    ("95 %, tuned", lambda line: words(interval_text(line))),
    ("Val", lambda line: percent(line["val_balanced_accuracy"])),
    ("Trials", lambda line: _trials(line)),
    ("Settings", lambda line: words(settings_text(line))),
    ("Swept", lambda line: words(swept_text(line))),
    ("Seeds", lambda line: _seeds(line)),
    ("Time", lambda line: duration(line["seconds"])),
    ("Alone", lambda line: duration(line["standalone_seconds"])),
)
_MEANINGS = (
    f"Bold: {MARKED} A dash is a missing value.",
    "95 %: of the tuned balanced accuracy, over test images (by lesion or patient, where known) "
    "and retrainings together.",
    "Val: balanced accuracy on val of the selected trial, flattered where val has chosen it.",
    "Trials: of the search of stage 1 + its own (ended well / all, where some failed).",
    "Settings: searched in stage 1 + in stage 2, the choice of the encoder not counted. Swept: "
    "settings that each trial itself judged on val.",
    "Time: all runs of the study, without the search of its stage 1. Alone: the time had every run "
    "trained its own stage 1, with the search of stage 1.",
)


def section(context: Context) -> Section:
    """Return the leaderboard; without a confirmed study it says so."""
    frame = context.board.frame
    lines: list[Line] = [
        {str(name): value for name, value in line.items()} for line in frame.to_dict("records")
    ]
    blocks: list[Block] = [Text(tuple(header(context.board)))]
    for task in dict.fromkeys(line["task"] for line in lines):
        members = [line for line in lines if line["task"] == task]
        chance, n_classes = members[0]["chance"], members[0]["n_classes"]
        about = (
            f"{n_classes} classes, chance {100 * chance:.1f} %; {members[0]['n_train']:,} train "
            f"images, {members[0]['n_largest']:,} of the largest class"
        )
        blocks.append(Heading(task, about, task))
        blocks.append(Listing(_table(task, members), context.command("leaderboard")))
    fewer = [f"{FEWER}."] if any(line["fewer_trials"] for line in lines) else []
    blocks += notes([*(_MEANINGS if lines else ()), *fewer])
    return Section("Leaderboard", (*blocks, *_missing(context), *notes(_notes(context))))


def _table(task: str, lines: Sequence[Line]) -> Table:
    rows = [
        table_row(
            words(line["label"]),
            *(_score(line, score) for score in _SCORES),
            *(cell(line) for _, cell in _OTHERS),
            method=line["label"],
        )
        for line in lines
    ]
    heads = [*(Head(score.title) for score in _SCORES), *(Head(head) for head, _ in _OTHERS)]
    caption = "Scores on test in %, mean ± SD over retraining seeds"
    return Table(caption, (Head("Method"), *heads), tuple(rows), sortable=True, task=task)


def _score(line: Line, score: Score) -> Cell:
    mean, sd = line[score.name], line[f"{score.name}_sd"] if score.has_spread else nan
    if isnan(mean):
        return missing("missing" if score == TUNED else "–")
    mark = "best" if score == TUNED and line["with_best"] else ""
    if score.metric.percent:
        return percent(mean, sd, mark)
    spread = "" if isnan(sd) else f" ± {number(sd, percent=False)}"
    return Cell(number(mean, percent=False) + spread, mean, mark)


def _trials(line: Line) -> Cell:
    return Cell(trials_text(line), float(line["n_stage1_trials"] + line["n_trials"]))


def _seeds(line: Line) -> Cell:
    failed = line["n_seeds_failed"]
    text = f"{line['n_seeds']} of {line['n_seeds'] + failed}" if failed else f"{line['n_seeds']}"
    return Cell(text, float(line["n_seeds"]))


def _missing(context: Context) -> list[Block]:
    gaps = by_command(context.gaps)
    if not gaps:
        return []
    rows = [
        table_row(words(", ".join(gap.labels), gap.task), words(gap.what), command(gap.command))
        for gap in gaps
    ]
    heads = (Head("Method"), Head("What is missing"), Head("Filled by"))
    table = Table("Missing cells, and the commands that fill them", heads, tuple(rows))
    return [Heading("What is missing"), Listing(table)]


def _notes(context: Context) -> list[str]:
    return [f"{note[0].upper()}{note[1:]}." for note in context.board.notes]
