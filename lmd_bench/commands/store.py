"""Commands on the store of results: gather, join, explain and repeat its rows."""

from lmd_bench.commands.app import app
from lmd_bench.options import RESULTS, Results


@app.command()
def compact(results: Results = RESULTS) -> None:
    """Gather the rows of many small files in one; safe while searches write and if it is killed."""
    from lmd_bench.compaction import print_compaction

    print_compaction(results)
