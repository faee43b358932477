"""A training step on all cores where threads that wait spin, where they sleep soon, and at once.

    python benchmarks/waiting_threads.py [--rounds N] [--smallest]

ResNet-18, 32 images of 64 px, SGD; each round is a new process of each kind, side by side, first on
the machine as it is, then beside one other process that keeps a core busy. Prints medians.
"""

import argparse
import os
import subprocess
import sys
from statistics import median

from lmd_bench.core.machine import n_cores

STEPS = """
import sys, time, torch
from torchvision.models import resnet18
size, n_steps = int(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(int(sys.argv[3]))
model = resnet18(num_classes=7).to(memory_format=torch.channels_last).train()
optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
x = torch.randn(32, 3, size, size).to(memory_format=torch.channels_last)
y = torch.randint(0, 7, (32,))
seconds = []
for _ in range(n_steps + 2):
    start = time.perf_counter()
    torch.nn.functional.cross_entropy(model(x), y).backward()
    optimiser.step()
    optimiser.zero_grad()
    seconds.append(time.perf_counter() - start)
print(sorted(seconds[2:])[n_steps // 2])
"""


WAYS = {
    "spin": {},  # GNU's OpenMP as it comes
    "sleep soon": {"GOMP_SPINCOUNT": "1000"},  # what lmd-bench sets
    "sleep at once": {"OMP_WAIT_POLICY": "PASSIVE"},
}


def step(way: str, size: int, n_steps: int) -> float:
    """Return the median seconds of a step in a process of its own."""
    command = [sys.executable, "-c", STEPS, str(size), str(n_steps), str(n_cores())]
    said = subprocess.run(
        command, env={**os.environ, **WAYS[way]}, check=True, capture_output=True, text=True
    )
    return float(said.stdout)


def compare(beside: str, rounds: int, size: int, n_steps: int) -> None:
    """Print the ways, round by round side by side."""
    times = [[step(way, size, n_steps) for way in WAYS] for _ in range(rounds)]
    medians = [1000 * median(of_way) for of_way in zip(*times, strict=True)]
    said = (
        f"{way} {one:.0f} ms ({medians[0] / one:.2f}x)"
        for way, one in zip(WAYS, medians, strict=True)
    )
    print(f"{beside}: {', '.join(said)}; load {os.getloadavg()[0]:.1f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--smallest", action="store_true")
    asked = parser.parse_args()
    rounds, size, n_steps = (1, 32, 1) if asked.smallest else (asked.rounds, 64, 12)
    compare("as it is", rounds, size, n_steps)
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        compare("beside a busy process", rounds, size, n_steps)
    finally:
        busy.kill()
        busy.wait()


if __name__ == "__main__":
    main()
