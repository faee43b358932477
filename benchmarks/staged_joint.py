"""Staged against joint search at equal cost, through the command line.

    python benchmarks/staged_joint.py [--out DIR] [--hours 0.05] [--seeds 0 1] [--smallest] [MORE]

MORE are options of `lmd-bench search`.

Staged: one study of stage 1 and one for each calibration, each of so many hours. Joint: one study a
method, with the same hours in all. Both run side by side, one trial at a time each, so that other
work on the machine weighs on both. Prints the best val and the confirmed test balanced accuracy of
each method as Markdown; the same command again goes on.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean

from lmd_bench.store.store import open_store

METHODS = ("crt", "vfc", "logit_adjustment")  # all on cross_entropy
SMALLEST = "--image-size 8 --n-max 60 --imbalance-factor 5 --epochs 1 --set training.batch_size=16"


def search(
    out: Path, hours: float, seed: int, more: list[str], *flags: str
) -> subprocess.Popen[bytes]:
    """Start one search."""
    command = [sys.executable, "-m", "lmd_bench", "search", "--method", ",".join(METHODS)]
    command += ["--gpu-hours", f"{hours:g}", "--seed", str(seed), "--results", str(out)]
    command += ["--max-concurrent", "1", "--confirm-seeds", "1", *flags, *more]
    return subprocess.Popen(command)


def line(results: Path, method: str) -> tuple[float, float, int, float]:
    """Return best val, its confirmed test score, the number of trials, and the hours of search."""
    rows = open_store(results).rows()
    own = [row for row in rows if row["method"] == method and row["phase"] == "search"]
    best = max((r for r in own if r["status"] == "ok"), key=lambda r: r["val_balanced_accuracy"])
    test = [r["test_balanced_accuracy"] for r in rows if r["source_key"] == best["key"]]
    all_seconds = sum(row["seconds"] for row in rows if row["phase"] == "search")
    return best["val_balanced_accuracy"], mean(test), len(own), all_seconds / 3600


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="a new folder, if not given")
    parser.add_argument("--hours", type=float, default=0.05)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--smallest", action="store_true", help="a size that shows that it runs")
    arguments, more = parser.parse_known_args()
    out = arguments.out or Path(tempfile.mkdtemp(prefix="staged-joint-"))
    if arguments.smallest:
        arguments.hours, arguments.seeds = 0.0005, [0]
        more = [*SMALLEST.split(), *more]
    if "--dataset" not in more:
        more += ["--dataset", "synthetic"]
    n = len(METHODS)
    for seed in arguments.seeds:
        folder = out / str(seed)
        searches = (
            search(folder / "staged", arguments.hours, seed, more),
            search(folder / "joint", arguments.hours * (n + 1) / n, seed, more, "--joint"),
        )
        if any([search_run.wait() for search_run in searches]):
            raise SystemExit("a search failed; the same command goes on")
    print("| seed | method | search | trials | best val | test | core-hours of all |")
    print("|---|---|---|---|---|---|---|")
    for seed in arguments.seeds:
        for method in METHODS:
            for kind in ("staged", "joint"):
                val, test, trials, hours = line(out / str(seed) / kind, method)
                cells = f"{100 * val:.1f} | {100 * test:.1f} | {hours:.2f}"
                print(f"| {seed} | `{method}` | {kind} | {trials} | {cells} |")


if __name__ == "__main__":
    main()
