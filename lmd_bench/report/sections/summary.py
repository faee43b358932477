"""Who leads, who cannot be told apart from the leader, and what these data cannot show."""

import re
from collections.abc import Sequence
from itertools import combinations
from math import isnan
from statistics import median

from lmd_bench.leaderboard.compare import Comparison, compare, corrected
from lmd_bench.leaderboard.leaders import Leader, leaders_of
from lmd_bench.leaderboard.studies.predictions import Judged
from lmd_bench.report.blocks import (
    Block,
    Cell,
    Figure,
    Heading,
    Listing,
    Picture,
    Section,
    Table,
    Text,
    missing,
    words,
)
from lmd_bench.report.blocks import heads as table_heads
from lmd_bench.report.blocks import row as table_row
from lmd_bench.report.context import Context
from lmd_bench.report.drawing.forest import Difference, forest
from lmd_bench.stats.metrics import PRIMARY
from lmd_bench.stats.paired import LEVEL

_FINGERPRINT = "[0-9a-f]{8}"
_N_NAMED = 3  # in a sentence; the figure below has all
_UNKNOWN = "Another search, split or data set may turn out otherwise. Not told apart is not equal."


def section(context: Context) -> Section | None:
    """Return the summary; None where no two methods of a task have logits of test."""
    found = leaders_of(context.judged)
    if not found:
        return None
    blocks: list[Block] = [Text(tuple(map(_sentence, found))), Text((_power(found), _UNKNOWN))]
    for number, leader in enumerate(found):
        blocks += [
            Heading(leader.task, task=leader.task),
            _figure(context, f"summary-{number}", leader),
            Listing(_matrix(leader), context.command("compare", leader.best.label, "--with-all")),
        ]
    return Section("Summary", tuple(blocks))


def _sentence(leader: Leader) -> str:
    together, n = leader.together, len(leader.together) + len(leader.behind)
    # A sentence is read without the fingerprint, which stands in the heading below.
    parts = leader.task.split(" · ")
    where = " · ".join(part for part in parts if not re.fullmatch(_FINGERPRINT, part))
    lead = f"{where}: {leader.best.label} leads with {100 * leader.score:.1f} %"
    unknown = len(leader.unknown)
    if unknown:
        lead += f" ({unknown} of {len(leader.others)} others could not be compared with it)"
    if not n:
        return f"{lead}."
    if not together:
        return f"{lead}, and all {n} others are told apart from it."
    if len(together) == n:
        return f"{lead}, and none of the {n} others is told apart from it."
    more = len(together) - _N_NAMED
    names = ", ".join(together[:_N_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"{lead}; {len(together)} of {n} others are not told apart from it: {names}."


def _power(found: Sequence[Leader]) -> str:
    """Say how large a difference must be to show."""
    known = [pair.detectable for one in found for pair in one.against if not isnan(pair.detectable)]
    if not known:
        return "How large a difference must be to show is not known with one retraining of each."
    n_tests = next(pair.n_tests for one in found for pair in one.against)
    return (
        f"With 80 % power (Holm over {n_tests} comparisons), true differences show from "
        f"{100 * min(known):.1f} points on; in the median pair from {100 * median(known):.1f}."
    )


def _figure(context: Context, name: str, leader: Leader) -> Figure:
    lines = [
        Difference(
            pair.other,
            -100 * pair.tested.value,
            -100 * pair.tested.interval.high,
            -100 * pair.tested.interval.low,
        )
        for pair in leader.against
    ]
    said = "; ".join(f"{line.label}: {line.value:+.1f}" for line in lines)
    best, unit = leader.best.label, f"points less {leader.best.label}"
    rows = [
        table_row(
            words(pair.other),
            _points(-pair.tested.value),
            words(_bounds(line)),
            words("–" if isnan(pair.p_holm) else f"{pair.p_holm:.3f}"),
            method=pair.other,
        )
        for pair, line in zip(leader.against, lines, strict=True)
    ]
    heads = table_heads("Method", f"Less {best}", "95 %", f"p Holm ({_n_tests(leader)})")
    over = leader.against[0].tested.interval.over if leader.against else ""
    return Figure(
        title=f"Each method less the best, {best}",
        caption=f"Balanced accuracy on test in points; lines are 95 % over {over or 'seeds'}, "
        "paired. Where a line reaches 0, the method may be as good.",
        command=context.command("compare", best, "--with-all"),
        pictures=(Picture(forest(name, f"{leader.task} against {best}", said, unit, lines), ""),),
        numbers=(Table("The same as numbers", heads, tuple(rows)),),
        task=leader.task,
    )


def _matrix(leader: Leader) -> Table:
    """Return the difference of each pair, in bold where Holm over all pairs tells them apart."""
    members = (leader.best, *leader.others)
    pairs = {
        (pair.first, pair.other): pair
        for pair in corrected(
            [
                pair
                for one, other in combinations(members, 2)
                for pair in compare(one, [other], one.clusters, (PRIMARY.name,))[0]
            ]
        )
    }
    rows = [
        table_row(words(one.label), *(_pair(pairs, one, other) for other in members))
        for one in members
    ]
    numbers = [str(place) for place in range(1, len(members) + 1)]
    heads = table_heads("", *(f"{n} {one.label}" for n, one in zip(numbers, members, strict=True)))
    caption = (
        f"Row less column, points of balanced accuracy; bold: told apart at 5 % (Holm over "
        f"{len(pairs)} pairs)"
    )
    return Table(caption, heads, tuple(rows), task=leader.task)


def _pair(pairs: dict[tuple[str, str], Comparison], one: Judged, other: Judged) -> Cell:
    if (pair := pairs.get((one.label, other.label))) is not None:
        return _points(pair.tested.value, told_apart=pair.p_holm <= LEVEL)
    if (pair := pairs.get((other.label, one.label))) is not None:
        return _points(-pair.tested.value, told_apart=pair.p_holm <= LEVEL)
    return missing()


def _points(value: float, *, told_apart: bool = False) -> Cell:
    if isnan(value):
        return missing()
    shown = f"{round(100 * value, 1) + 0.0:+.1f}".replace("-", "−")
    return Cell(shown, float(value), "best" if told_apart else "")


def _bounds(line: Difference) -> str:
    return "–" if isnan(line.low) else f"[{line.low:+.1f}, {line.high:+.1f}]".replace("-", "−")


def _n_tests(leader: Leader) -> int:
    return leader.against[0].n_tests if leader.against else 0
