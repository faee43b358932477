"""The search for near-identical images: seconds and peak memory of its worst inputs.

    python benchmarks/near.py [--images 100000]

Hashes are drawn: all equal (images without structure); random; random but for a quarter of bits
that is equal, or a quarter or a half of bits that says one thing 128 or 256 times, so that half of
the pairs look near in it; all different but near, so that each pair is a link. Each runs in a new
process; its peak memory is that of the whole process, imports included. Prints Markdown for
README.md.
"""

import argparse
import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from lmd_bench.data.checks.near import near_identical
from lmd_bench.data.tasks.split import Split

KINDS = (
    *("equal", "random", "random, a quarter equal", "random, a quarter copies of one bit"),
    *("random, half copies of one bit", "near, none equal"),
)


def drawn(kind: str, n: int) -> np.ndarray:
    """Return n hashes of 512 bits; near ones differ in at most 20 bits from zero and each other."""
    rng = np.random.default_rng(0)
    if kind.startswith("random"):
        bits = rng.random((n, 512), dtype=np.float32) < 0.5
        if "equal" in kind:
            bits[:, ::4] = False
        if "copies" in kind:
            bits[:, :: 2 if "half" in kind else 4] = bits[:, :1]
        return bits
    bits = np.zeros((n, 512), dtype=np.bool_)
    if kind != "equal":
        bits[:, :20] = np.arange(n)[:, None] >> np.arange(20) & 1
    return bits


def measured(kind: str, n: int) -> tuple[int, float, float, float]:
    """Return the number of groups, seconds, those of the processors, and MiB at the peak."""
    bits = drawn(kind, n)
    split = Split(*np.split(np.arange(n), [n * 7 // 10, n * 8 // 10]))
    start, busy = time.perf_counter(), time.process_time()
    groups = near_identical(bits, split)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    return len(groups), seconds, busy, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--smallest", action="store_true", help="a size that shows that it runs")
    arguments = parser.parse_args()
    n = 500 if arguments.smallest else arguments.images
    print("| hashes | images | groups | seconds | of the processors | peak memory | aim |")
    print("|---|---|---|---|---|---|---|")
    for kind in KINDS:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            n_groups, seconds, busy, mib = pool.submit(measured, kind, n).result()
        cells = f"{kind} | {n:,} | {n_groups:,} | {seconds:.1f} | {busy:.1f} | {mib:.0f} MiB"
        print(f"| {cells} | 60 s, 1,024 MiB |", flush=True)


if __name__ == "__main__":
    main()
