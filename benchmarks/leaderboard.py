"""The leaderboard of many rows: how long it takes after imports, before and after compaction.

    python benchmarks/leaderboard.py [--rows 100000] [--single 10000] [--keep DIR]

The rows have every column that a real row has: configs, curves of 10 epochs, per-class lists,
provenance. `before` is the code until compaction, kept here as a function: each file read with all
its columns into a dict of its row, a second time for `damaged`. Prints Markdown for README.md.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lmd_bench.core.schema import TaskSpec, TrialContext, TrialSpec, content_hash
from lmd_bench.leaderboard import build, render
from lmd_bench.methods.catalogue import named_methods
from lmd_bench.methods.settings import default_config
from lmd_bench.store.columns import COLUMNS
from lmd_bench.store.compaction import compact
from lmd_bench.store.row_files import ONE_ROW
from lmd_bench.store.rows import Row, make_row
from lmd_bench.store.store import open_store

N_TRIALS, N_SEEDS = 94, 3  # of a study; its best and its default config are confirmed
CLASSES = ["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"]
NOW = "2026-01-01T00:00:00+00:00"


def study_rows(number: int, rng: random.Random) -> list[Row]:
    """Return the 100 rows of one study: a method on a task, searched and confirmed."""
    methods = [m for m in named_methods().values() if not m.settings]
    method = methods[number % 20]
    task = TaskSpec("ham10000", imbalance_factor=100.0, split_seed=number // 20, image_size=64)
    fingerprint = content_hash(["task", number // 20])
    study = f"ham10000-balanced-if100-64px-split{number // 20}/{method.name}/10ep"

    def spec_of(trial: int, seed: int, phase: Any) -> TrialSpec:
        config = default_config(method, {"training.lr": 0.01 + trial / 1000})
        pair = (method.name, method.representation, method.calibration)
        return TrialSpec(task, fingerprint, *pair, config, seed, 10, phase, study, {"crt": 1})

    rows = [
        _row(spec_of(trial, 7, "search"), TrialContext(Path(), trial_number=trial), rng)
        for trial in range(N_TRIALS)
    ]
    rows[0]["is_default"] = True
    best = max(range(N_TRIALS), key=lambda trial: rows[trial]["val_balanced_accuracy"])
    for trial in dict.fromkeys((best, 0)):
        key = rows[trial]["key"]
        context = TrialContext(Path(), trial_number=trial, source_key=key, is_default=trial == 0)
        rows += [_row(spec_of(trial, s, "confirm"), context, rng) for s in range(N_SEEDS)]
    return rows


def _row(spec: TrialSpec, context: TrialContext, rng: random.Random) -> Row:
    measured: Row = {"status": "ok", "seconds": rng.random(), "standalone_seconds": rng.random()}
    measured |= {"started_at": NOW, "finished_at": NOW, "class_names": CLASSES}
    measured |= {"class_counts": [6000, 1000, 500, 300, 150, 90, 60], "groups": ["many"] * 7}
    measured |= {"best_epoch": 8, "n_train": 9000, "n_val": 119, "encoder_key": spec.encoder_key}
    measured["curve"] = [
        {"stage": "representation", "epoch": e, "loss": rng.random(), "val_balanced_accuracy": 0.5}
        for e in range(1, 11)
    ]
    for split in ("val", "test") if spec.phase == "confirm" else ("val",):
        measured[f"{split}_recall"] = [rng.random() for _ in CLASSES]
        for field in COLUMNS:
            if field.name.startswith(f"{split}_") and field.type == pa.float64():
                measured[field.name] = rng.random()
    return make_row(spec, context, **measured)


def make_store(root: Path, n_rows: int) -> Path:
    """Write a store of single files, without the sync of each that a worker does."""
    store, rng = open_store(root, create=True), random.Random(0)
    for number in range(-(-n_rows // 100)):
        for row in study_rows(number, rng):
            table = pa.Table.from_pylist([row], COLUMNS)
            pq.write_table(table, store.trial_file(row["key"]), write_page_checksum=True, **ONE_ROW)
    return root


def make_compacted(root: Path, n_rows: int) -> Path:
    """Write a store of one compacted file, from parts of 10,000 rows."""
    store, rng = open_store(root, create=True), random.Random(0)
    (root / "compacted").mkdir()
    for part in range(-(-n_rows // 10_000)):
        n_studies = min(100, n_rows // 100)
        rows = [r for number in range(n_studies) for r in study_rows(part * 100 + number, rng)]
        table = pa.Table.from_pylist(rows, COLUMNS)
        pq.write_table(table, root / "compacted" / f"{part:020d}.parquet", write_page_checksum=True)
    compact(store.root)
    return root


def before(root: Path) -> str:
    """Return the leaderboard as it was made until rows could be compacted."""

    def read(path: Path) -> Row | None:
        try:
            table = pq.ParquetFile(path, page_checksum_verification=True).read()
        except (pa.ArrowException, OSError):
            return None
        return table.to_pylist()[0]

    paths = sorted(root.glob("trials/[!.]*.parquet"))
    rows = [row for path in paths if (row := read(path)) is not None]
    order = ("study", "phase", "trial_number", "seed", "key")
    rows.sort(key=lambda row: tuple(row[name] for name in order))
    damaged = [path for path in paths if read(path) is None and path.exists()]
    assert not damaged, damaged
    return render(build(rows), "table", width=200)


def timed(code: str, root: Path, repeats: int) -> tuple[float, float, float]:
    """Return the median and processor seconds of a statement in new processes, and peak MiB.

    Processor seconds, of all threads, say what it costs where other work shares the cores.
    """
    script = (
        "import sys, time; from pathlib import Path; root = Path(sys.argv[1])\n"
        "import numpy, pandas, pyarrow.parquet, rich.table, benchmarks.leaderboard as bench\n"
        "from lmd_bench.leaderboard import load, render\n"
        "assert not {'torch', 'ray'} & set(sys.modules)\n"
        f"start, cpu = time.perf_counter(), time.process_time(); {code}\n"
        "seconds, cpu = time.perf_counter() - start, time.process_time() - cpu\n"
        "peak = Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0]\n"
        "print(seconds, cpu, peak)"
    )
    runs = [
        [float(word) for word in _last_line([sys.executable, "-c", script, str(root)]).split()]
        for _ in range(repeats)
    ]
    seconds, cpu, peak = zip(*runs, strict=True)
    return statistics.median(seconds), statistics.median(cpu), max(peak) / 1024


def _last_line(command: list[str]) -> str:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    result = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return result.stdout.strip().splitlines()[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--single", type=int, default=10_000)
    parser.add_argument("--keep", type=Path, help="folder for the stores, made where they lack")
    parser.add_argument("--smallest", action="store_true", help="a size that shows that it runs")
    arguments = parser.parse_args()
    repeats = 3
    if arguments.smallest:
        arguments.rows, arguments.single, repeats = 400, 100, 1
    with tempfile.TemporaryDirectory() as scratch:
        base = arguments.keep or Path(scratch)
        single, compacted = base / f"{arguments.single}", base / f"{arguments.rows}-compacted"
        if not single.exists():
            make_store(single, arguments.single)
        if not compacted.exists():
            make_compacted(compacted, arguments.rows)
        after = "render(load(root), 'table', width=200)"
        print("| store | code | seconds | processor seconds | peak memory |\n|---|---|---|---|---|")
        for root, code, name in (
            (single, "bench.before(root)", "before"),
            (single, after, "now"),
            (compacted, after, "now"),
            (compacted, "load(root)", "now, without the printing"),
        ):
            seconds, cpu, mib = timed(code, root, repeats)
            cells = f"{root.name} | {name} | {seconds:.2f} | {cpu:.2f} | {mib:.0f} MiB"
            print(f"| {cells} |", flush=True)


if __name__ == "__main__":
    main()
