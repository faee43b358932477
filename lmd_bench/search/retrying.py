"""--retry-failed: which stored rows are run again, with the same config, number and seed.

A row that failed for a reason outside its config (a death, a node, a deadline, memory, an error)
may do better once that is mended. What diverged or was pruned would do so again and stays.
"""

from collections.abc import Iterable

from lmd_bench.search.jobs import Row

RETRIED = frozenset({"lost", "node_lost", "timeout", "oom", "error"})


def set_apart(rows: Iterable[Row], retry: bool) -> tuple[list[Row], list[Row]]:
    """Return the rows that stand, and those whose trials run again."""
    stand: list[Row] = []
    again: list[Row] = []
    for row in rows:
        (again if retry and row["status"] in RETRIED else stand).append(row)
    return stand, again


def is_stale(row: Row, before: Row | None) -> bool:
    """Say whether a row is still the one that stood there before its trial ran again."""
    return before is not None and dict(row) == dict(before)
