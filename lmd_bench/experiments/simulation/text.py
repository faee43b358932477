"""The answer of a simulation: its frames for a program, its tables for a person."""

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

import pandas as pd

from lmd_bench.core.text import clock
from lmd_bench.experiments.simulation.pruners import FLAGGED, N_TOP
from lmd_bench.experiments.simulation.simulate import Simulation
from lmd_bench.experiments.simulation.staging import SAME_PAIRS
from lmd_bench.experiments.simulation.table import StudyTable
from lmd_bench.experiments.simulation.tuners import OVER
from lmd_bench.leaderboard.answer import Answer
from lmd_bench.leaderboard.tables.text import Part, Table, json_value, percent

Line = Mapping[str, Any]  # a row of a frame
_LEGEND = (
    f"Intervals are {OVER}: 95 %, Student's t. Regret is what the best of the table has more. Test "
    "is the mean of selected configs that were confirmed; `unknown` counts the replays that "
    "selected another one. Distance, in the unit cube of the space, is from what the sampler drew "
    "to the stored trial that answered; random takes stored trials in a random order."
)


def answer(simulation: Simulation) -> Answer:
    """Return a simulation as `lmd-bench simulate` shows it."""
    data: dict[str, Any] = {
        part: [{name: json_value(value) for name, value in line.items()} for line in records(frame)]
        for part, frame in simulation.frames.items()
    }
    data |= {"intervals": OVER, "notes": list(simulation.notes)}
    return Answer(simulation.frames, lambda: text(simulation), notes=simulation.notes, data=data)


def text(simulation: Simulation) -> list[Part]:
    """Return all tables of a simulation, and its notes."""
    frames = simulation.frames
    parts: list[Part] = []
    if "samplers" in frames:
        frame = frames["samplers"]
        for table in simulation.tables:
            parts += [*_samplers(table, records(frame[frame["study"] == table.study])), ""]
        parts += [_LEGEND, ""]
    if "pruners" in frames:
        parts += [*_pruners(records(frames["pruners"])), ""]
    if "stages" in frames:
        parts += [*_stages(records(frames["stages"])), ""]
    return [*parts, *(f"Note: {note}." for note in simulation.notes)]


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame by column name."""
    return [{str(k): v for k, v in line.items()} for line in frame.to_dict("records")]


def _samplers(table: StudyTable, lines: Sequence[Line]) -> list[Part]:
    header = ("sampler", "pruner", "best val", "95 %", "regret", "finds best", "time")
    header = (*header, "pruned", "test", "unknown", "distance")
    rows = [
        (
            line["sampler"],
            line["pruner"],
            percent(line["best_val"]),
            _between(line["best_val_low"], line["best_val_high"]),
            percent(line["regret"]),
            _share(line["found_best"]),
            clock(3600 * line["hours"]),
            f"{line['pruned']:.1f}",
            percent(line["test"]),
            str(line["test_unknown"]),
            _plain(line["distance"]),
        )
        for line in lines
    ]
    most = max(line["trials"] for line in lines)
    head = (
        f"{table.method} on {table.task}",
        f"{len(table.trials)} stored trials, {table.n_ok} ok, best val {percent(table.best)}; "
        f"{lines[0]['repeats']} replays of up to {most:.3g} trials",
    )
    return [*head, Table(header, rows, n_keys=2), *_remarks(lines)]


def _remarks(lines: Sequence[Line]) -> list[str]:
    remarks: list[str] = []
    for line in lines:
        name = f"replays of {line['sampler']}, {line['pruner']}"
        if line["found_nothing"]:
            remarks.append(f"{line['found_nothing']} {name} had no trial that ended well")
        if line["exhausted"]:
            remarks.append(f"{line['exhausted']} {name} used up the table before their budget")
    return remarks


def _pruners(lines: Sequence[Line]) -> list[Part]:
    if not lines:
        return ["Pruners: no study that was replayed trains a stage 1, or no pruner was named."]
    header = ("method", "pruner", "deferral", "ended", "best", f"of top {N_TOP}", "time", "saved")
    rows = [
        (
            _name(line, lines),
            line["pruner"],
            _deferral(line),
            f"{line['ended']:.1f} of {line['trials']}",
            _share(line["best_ended"]) + (" !" if line["flagged"] else ""),
            _share(line["top3_ended"]),
            clock(3600 * line["hours"]),
            clock(3600 * line["hours_saved"]),
        )
        for line in lines
    ]
    return [
        f"Pruners, in {lines[0]['repeats']} random orders of all trials of each study: how many "
        "they end, how often the best trial of "
        f"the study, or one of its best {N_TOP}, is among them (wrongly killed), and the time "
        "saved. The default is never ended.",
        Table(header, rows, n_keys=2),
        *_flags(lines),
    ]


def _flags(lines: Sequence[Line]) -> list[str]:
    """Return the methods whose best trial is wrongly killed too often."""
    killed: dict[str, list[str]] = {}
    for line in lines:
        if line["flagged"]:
            late = line["deferral"] > 0
            how = ", deferral point " + ("respected" if line["deferral_respected"] else "ignored")
            name = f"{line['method']} on {line['task']}{how if late else ''}"
            killed.setdefault(name, []).append(f"{line['pruner']} {_share(line['best_ended'])}")
    if not killed:
        return [f"No pruner ends a study's best trial in more than {_share(FLAGGED)} of the orders"]
    return [f"! {name}: best trial wrongly killed, {', '.join(by)}" for name, by in killed.items()]


def _stages(lines: Sequence[Line]) -> list[Part]:
    if not lines:
        return ["Staged against joint: no calibration study stands on stored encoders here."]
    header = ("method", "sampler", "staged", "95 %", "time", "joint", "95 %", "time", "replays")
    rows = [
        (
            _name(line, lines),
            line["sampler"],
            percent(line["staged_best"]),
            _between(line["staged_low"], line["staged_high"]),
            clock(3600 * line["staged_hours"]),
            percent(line["joint_best"]),
            _between(line["joint_low"], line["joint_high"]),
            clock(3600 * line["joint_hours"]),
            f"{line['replayed']} of {line['repeats']}",
        )
        for line in lines
    ]
    studies = {line["study"]: line for line in lines}
    return [
        "Staged against joint search, best val. Staged time is that of both studies; the last "
        "joint trial starts before as "
        "much is over.",
        Table(header, rows, n_keys=2),
        *(sentence for line in studies.values() for sentence in _stored_pairs(line)),
    ]


def _stored_pairs(line: Line) -> list[str]:
    """Return what the stored rows allow, and which are missing."""
    n, n_lacking = line["encoders"], line["repeats_lacking_pairs"]
    sentences = [
        f"{line['method']}: {line['encoders_with_pairs']} of {n} encoders have stored calibrations"
    ]
    if line["missing"]:
        sentences.append(
            f"  missing: calibrations on the encoders of trials {line['missing']} of the "
            f"{line['base']} study; {n_lacking} of {line['repeats']} replays would offer one"
        )
    if line["joint_from"] == SAME_PAIRS:
        sentences.append(
            "  no joint study is stored, so joint draws from the same pairs: their encoders had "
            "been chosen, which flatters joint"
        )
    return sentences


def _name(line: Line, lines: Sequence[Line]) -> str:
    several = len({other["task"] for other in lines}) > 1
    return f"{line['method']} on {line['task']}" if several else line["method"]


def _deferral(line: Line) -> str:
    if line["deferral"] == 0:
        return "none"
    return f"to {_share(line['deferral'])}" if line["deferral_respected"] else "ignored"


def _between(low: float, high: float) -> str:
    return "–" if isnan(low) else f"[{percent(low)}, {percent(high)}]"


def _share(value: float) -> str:
    return "–" if isnan(value) else f"{100 * value:.0f} %"


def _plain(value: float) -> str:
    return "–" if isnan(value) else f"{value:.2f}"
