"""How compacted rows are packed: bytes, and processor seconds to write and read them, side by side.

    python benchmarks/compaction.py [--results results/reference/frozen] [--rounds 3]

The rows of a results folder are packed as Parquet does by itself, as before (zstd at 19, all
numbers split by byte), as now, and as now at the hardest level. Prints Markdown for README.md.
"""

import argparse
import io
import statistics
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lmd_bench.store import compaction
from lmd_bench.store.store import open_store

FROZEN = Path(__file__).parents[1] / "results" / "reference" / "frozen"
NOW: dict[str, Any] = compaction._LAYOUT
ALL_SPLIT = {
    path: "BYTE_STREAM_SPLIT" for path, _ in compaction._STORED if path not in compaction._REPEAT
}
LAYOUTS: dict[str, dict[str, Any]] = {
    "Parquet's own": {},
    "before": NOW | {"compression": "zstd", "compression_level": 19, "column_encoding": ALL_SPLIT},
    "now": NOW,
    "now, at level 11": NOW | {"compression_level": 11},
}


def packed(table: pa.Table, layout: dict[str, Any]) -> tuple[bytes, float, float]:
    """Return a table as a file of a layout, and the processor seconds to write and to read it."""
    file = io.BytesIO()
    start = time.process_time()
    pq.write_table(table, file, row_group_size=compaction._ROW_GROUP, **layout)
    written = time.process_time()
    file.seek(0)
    pq.read_table(file, use_threads=False)
    return file.getvalue(), written - start, time.process_time() - written


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=FROZEN)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--smallest", action="store_true", help="only shows that it runs")
    arguments = parser.parse_args()
    table = open_store(arguments.results).scan().table
    if arguments.smallest:
        table = table.slice(0, 50)
    of_layouts: dict[str, list[tuple[bytes, float, float]]] = {name: [] for name in LAYOUTS}
    for _ in range(1 if arguments.smallest else arguments.rounds):
        for name, layout in LAYOUTS.items():  # in turn, so that all meet the same load
            of_layouts[name].append(packed(table, layout))
    print(f"{table.num_rows:,} rows.\n\n| layout | MB | write, CPU s | read, CPU s |")
    print("|---|---|---|---|")
    for name, rounds in of_layouts.items():
        write, read = (statistics.median(times) for times in list(zip(*rounds, strict=True))[1:])
        print(f"| {name} | {len(rounds[0][0]) / 1e6:.2f} | {write:.2f} | {read:.3f} |")


if __name__ == "__main__":
    main()
