"""24 calibrations over 2 encoders, against pipelines of their own: the cost, and the same numbers.

    python benchmarks/shared_encoders.py [--dataset synthetic] [--own 4] [--smallest]

All pairs of 2 representations and 12 calibrations, each with its default config, run into one
results folder. Then `--own` of them (24: all) run again, each in a folder of its own, which trains
its own stage 1. What they give must be the same to the last bit; what they took is compared with
`standalone_seconds` of the shared rows, which stands for those that were not run. Costs are in
processor seconds, so that other work on the machine does not count. One process of one thread, no
Ray. Prints Markdown for the README.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

from lmd_bench.core import machine as hardware
from lmd_bench.core.schema import DataSource, TaskSpec
from lmd_bench.data.build import task_specs
from lmd_bench.store.store import open_store
from lmd_bench.training.single import train_one

REPRESENTATIONS = ("cross_entropy", "balanced_softmax")
CALIBRATIONS = (
    "none", "crt", "lws", "tau_norm", "ncm", "knn", "logit_adjustment", "mislas", "disalign",
    "weight_balancing", "ladc", "vfc",
)  # fmt: skip


def run(task: TaskSpec, pair: str, epochs: int, results: Path) -> tuple[dict[str, Any], float]:
    """Return the row of one trial and the processor seconds that it took."""
    with Path(os.devnull).open("w") as sink, redirect_stdout(sink), redirect_stderr(sink):
        began = time.process_time()
        row = train_one(task, pair, epochs, 0, [], results, DataSource(), "benchmark")
        seconds = time.process_time() - began
    assert row["status"] == "ok", row["cause"]
    return row, seconds


def same(first: Path, second: Path, key: str) -> bool:
    """Say whether two folders hold the same logits of a trial, bit by bit."""
    left, right = (open_store(folder).read_logits(key)["val"] for folder in (first, second))
    return left[0] == right[0] and np.array_equal(left[2], right[2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", default="synthetic", help="ham10000 for the figures")
    parser.add_argument("--own", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--n-max", type=int, default=200)
    parser.add_argument("--smallest", action="store_true", help="a size that shows that it runs")
    arguments = parser.parse_args()
    factor, image_size = 50.0, 32
    if arguments.smallest:
        arguments.own, arguments.epochs, arguments.n_max = 1, 1, 60
        factor, image_size = 5.0, 8
    hardware.n_cores = lambda: 1  # threads that wait for one another would count as work
    ways = ("balanced", 0, image_size, arguments.n_max)
    (task,) = task_specs([arguments.dataset], [factor], *ways)
    pairs = [f"{stage1}+{stage2}" for stage2 in CALIBRATIONS for stage1 in REPRESENTATIONS]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        run(task, "cross_entropy+crt", 1, root / "warm")  # imports and images cost neither side
        shared = {pair: run(task, pair, arguments.epochs, root / "shared") for pair in pairs}
        report(shared)
        own: list[tuple[float, float]] = []
        for pair in chosen(pairs, arguments.own):
            row, seconds = run(task, pair, arguments.epochs, root / pair)
            equal = same(root / "shared", root / pair, row["key"])
            told = alone(shared, pair)
            own.append((seconds, told))
            print(f"| `{pair}` | {seconds:.1f} | {told:.1f} | {'yes' if equal else 'NO'} |")
    measured, told = (sum(values) for values in zip(*own, strict=True))
    total = sum(seconds for _, seconds in shared.values())
    expected = sum(alone(shared, pair) for pair in pairs) * measured / told
    print(f"\nshared: {total:.1f} s; 24 pipelines of their own: {expected:.1f} s, by these")
    print(f"{len(own)} of them; {expected / total:.1f} times as much (aim: 5)")


def chosen(pairs: Sequence[str], n: int) -> list[str]:
    """Return `n` pairs, spread over all."""
    return [pairs[i * len(pairs) // n + i % 2 * (n < len(pairs))] for i in range(n)]


def alone(shared: dict[str, tuple[dict[str, Any], float]], pair: str) -> float:
    """Return what a pair costs with its stage 1: the first row of that encoder trained it."""
    representation, _, calibration = pair.partition("+")
    with_stage_1 = shared[f"{representation}+{CALIBRATIONS[0]}"][1]
    return with_stage_1 + (shared[pair][1] if calibration != CALIBRATIONS[0] else 0.0)


def report(shared: dict[str, tuple[dict[str, Any], float]]) -> None:
    """Print what the shared rows say of themselves, and the head of the table that follows."""
    actual = sum(row["seconds"] for row, _ in shared.values())
    standalone = sum(row["standalone_seconds"] for row, _ in shared.values())
    keys = {row["encoder_key"] for row, _ in shared.values()}
    print(f"{len(shared)} rows on {len(keys)} encoders, by the clock: {actual:.1f} s;")
    print(f"alone by their own account {standalone:.1f} s, {standalone / actual:.1f} times\n")
    print("| run alone | s | foretold, s | same logits |\n|---|---|---|---|", flush=True)


if __name__ == "__main__":
    main()
