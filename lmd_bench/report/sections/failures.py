"""What went wrong: failed trials by cause."""

from lmd_bench.report.blocks import (
    Listing,
    Section,
    Table,
    Text,
    count,
    duration,
    key,
    missing,
    words,
)
from lmd_bench.report.blocks import heads as table_heads
from lmd_bench.report.blocks import row as table_row
from lmd_bench.report.context import Context
from lmd_bench.search.watching.failures import failures


def section(context: Context) -> Section:
    """Return the failures of search, confirmation and trials by hand; it says if there are none."""
    root = context.store.root
    command = context.command("failures", rule=False)
    failed = failures([dict(row) for row in context.rows], root / "tracebacks")
    n_failed = sum(failure.n_trials for failure in failed)
    if not failed:
        return Section("Failures", (Text((f"None of {len(context.rows)} runs failed.",)),))
    rows = [
        table_row(
            words(failure.status),
            words(failure.cause),
            count(failure.n_trials),
            words(", ".join(failure.methods)),
            duration(failure.seconds),
            key(failure.traceback.relative_to(root).as_posix()) if failure.traceback else missing(),
        )
        for failure in failed
    ]
    heads = table_heads("Outcome", "Cause", "Runs", "Methods", "Cost", "Traceback")
    table = Table(
        "Failed runs by cause, the most frequent first", heads, tuple(rows), sortable=True
    )
    said = f"{n_failed} of {len(context.rows)} runs failed; each is a row of the results."
    return Section("Failures", (Text((said,)), Listing(table, command)))
