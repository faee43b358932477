"""A training step on all cores where threads that wait spin, and where they sleep.

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


def step(policy: str, size: int, n_steps: int) -> float:
    """Return the median seconds of a step in a process of its own."""
    command = [sys.executable, "-c", STEPS, str(size), str(n_steps), str(n_cores())]
    environment = {**os.environ, "OMP_WAIT_POLICY": policy}
    said = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return float(said.stdout)


def compare(beside: str, rounds: int, size: int, n_steps: int) -> None:
    """Print both policies, round by round side by side."""
    pairs = [(step("ACTIVE", size, n_steps), step("PASSIVE", size, n_steps)) for _ in range(rounds)]
    spin, sleep = (1000 * median(times) for times in zip(*pairs, strict=True))
    load = os.getloadavg()[0]
    print(
        f"{beside}: spin {spin:.0f} ms, sleep {sleep:.0f} ms a step ({spin / sleep:.2f}x), "
        f"load {load:.1f}"
    )


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
