"""Which hyperparameters mattered in each study, by PED-ANOVA."""

from lmd_bench.report.blocks import (
    Block,
    Figure,
    Heading,
    Picture,
    Section,
    Table,
    Text,
    notes,
    percent,
    words,
)
from lmd_bench.report.blocks import heads as table_heads
from lmd_bench.report.blocks import row as table_row
from lmd_bench.report.context import Context
from lmd_bench.report.drawing.bars import bar_chart
from lmd_bench.report.searched import FEWEST, Searched

_N_BARS = 12  # drawn; the table has all
_INTRO = (
    "How differently each setting is distributed among the best tenth of a study's trials and "
    "among all of them (PED-ANOVA), as shares that add up to 100 %. It says what told good trials "
    "from others within the ranges that were searched, not what would matter outside them, and "
    "nothing of interactions.",
)


def section(context: Context) -> Section | None:
    """Return the importances of each task; None where nothing was searched."""
    blocks: list[Block] = []
    for number, task in enumerate(context.tasks):
        found = context.searched[task]
        shares = {one.study.label: one.importances() for one in found}
        known = {label: share for label, share in shares.items() if share}
        blocks.append(Heading(task, task=task))
        if known:
            blocks.append(_figure(context, f"importance-{number}", task, known))
        blocks += notes(_why([one for one in found if not shares[one.study.label]]))
    return Section("Hyperparameter importance", (Text(_INTRO), *blocks)) if blocks else None


def _why(unknown: list[Searched]) -> list[str]:
    few = [one for one in unknown if one.n_finished < FEWEST]
    alike = [one.study.label for one in unknown if one.n_finished >= FEWEST]
    counts = ", ".join(f"{one.study.label} ({one.n_finished})" for one in few)
    return [
        *([f"Too few trials to tell, below {FEWEST} that ended well: {counts}."] if few else []),
        *([f"No setting differs between the trials: {', '.join(alike)}."] if alike else []),
    ]


def _others(n_all: int) -> str:
    n_more = n_all - _N_BARS
    return f", the first {_N_BARS} of {n_all} settings" if n_more > 0 else ""


def _figure(context: Context, name: str, task: str, known: dict[str, dict[str, float]]) -> Figure:
    pictures = [
        Picture(
            bar_chart(
                f"{name}-{number}",
                f"Importance of hyperparameters of {label} on {task}",
                ", ".join(f"{key} {100 * share:.0f} %" for key, share in shares.items()),
                list(shares.items())[:_N_BARS],
            ),
            label + _others(len(shares)),
            task,
            label,
        )
        for number, (label, shares) in enumerate(known.items())
    ]
    rows = [
        table_row(words(label), words(key), percent(share), method=label)
        for label, shares in known.items()
        for key, share in shares.items()
    ]
    table = Table(
        f"Importance in %, {task}", table_heads("Method", "Setting", "Share, %"), tuple(rows)
    )
    return Figure(
        title="Importance of hyperparameters",
        caption="Shares by PED-ANOVA of the trials that ended well.",
        command=context.redraw("importance"),
        pictures=tuple(pictures),
        numbers=(table,),
        task=task,
    )
