"""Seconds of every calibration on cached features, and what training many heads at once would give.

    python benchmarks/stage2.py [--threads 2] [calibrations|batched]

Prints Markdown rows for benchmarks/README.md.
"""

import argparse
import statistics
import time

import torch
import torch.nn.functional as F
from torch import Tensor

from lmd_bench.core import plugins
from lmd_bench.core.schema import no_report
from lmd_bench.data.batches import ImageSet
from lmd_bench.methods.calibration._base import Stage1
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.models.model import build_model

WIDTH, CLASSES, BATCH = 512, 8, 512


def problem(n: int, seed: int, ratio: float) -> tuple[Tensor, Tensor]:
    """Return n rectified features and their labels; the first class has `ratio` times the last."""
    rng = torch.Generator().manual_seed(seed)
    shares = ratio ** -(torch.arange(CLASSES) / (CLASSES - 1))
    labels = torch.multinomial(shares, n, replacement=True, generator=rng)
    centres = torch.randn(CLASSES, WIDTH, generator=torch.Generator().manual_seed(0)) * 0.3
    return torch.relu(centres[labels] + torch.randn(n, WIDTH, generator=rng)), labels


def calibrations(n_train: int, n_val: int, repeats: int) -> None:
    """Time each calibration that asks for cached features alone."""
    features, labels = problem(n_train, 1, 100.0)
    val_features, val_labels = problem(n_val, 2, 1.0)
    print(f"| calibration | seconds, median of {repeats} |\n|---|---|")
    for name in plugins.names("calibration"):
        if name == "icc":  # its E-step trains the encoder on images
            continue
        config = plugins.load("calibration", name).Config()
        times: list[float] = []
        for _ in range(repeats):
            model = build_model(TrainingConfig(), CLASSES, seed=0)
            pixels = [torch.zeros(len(y), 1, 1, 3, dtype=torch.uint8) for y in (labels, val_labels)]
            sets = (ImageSet(pixels[0], labels), ImageSet(pixels[1], val_labels))
            cached = (features, val_features)
            stage1 = Stage1(model, sets, lambda c=cached: c, seed=0, on_epoch=no_report)
            started = time.perf_counter()
            plugins.plugin_class("calibration", name)(config).fit(stage1)
            times.append(time.perf_counter() - started)
        print(f"| `{name}` | {statistics.median(times):.2f} |", flush=True)


def batched(n_train: int, n_heads: int, n_epochs: int) -> None:
    """Train cRT heads one by one and as one product, on the same draws."""
    features, labels = problem(n_train, 1, 100.0)
    steps = n_epochs * (n_train // BATCH)
    rng = torch.Generator().manual_seed(0)
    draws = torch.randint(n_train, (steps, BATCH), generator=rng)
    rates = torch.logspace(-2, 0, n_heads)

    def train(rates: Tensor) -> None:
        heads = len(rates)
        weight = torch.zeros(WIDTH, heads * CLASSES, requires_grad=True)
        velocity = torch.zeros_like(weight)
        lr = rates.repeat_interleave(CLASSES)
        for indices in draws:
            logits = (features[indices] @ weight).view(BATCH * heads, CLASSES)
            targets = labels[indices].repeat_interleave(heads)
            loss = F.cross_entropy(logits, targets, reduction="sum") / BATCH
            (gradient,) = torch.autograd.grad(loss, weight)
            with torch.no_grad():
                velocity.mul_(0.9).add_(gradient)
                weight.sub_(lr * velocity)

    started = time.perf_counter()
    train(rates)
    together = time.perf_counter() - started
    started = time.perf_counter()
    for rate in rates:
        train(rate[None])
    alone = time.perf_counter() - started
    print(f"| {n_heads} heads | one by one | at once | ratio |\n|---|---|---|---|")
    print(
        f"| {steps} steps of {BATCH} | {alone:.1f} s | {together:.1f} s | {alone / together:.1f}x |"
    )


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=["calibrations", "batched"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--smallest", action="store_true", help="a size that shows that it runs")
    arguments = parser.parse_args()
    n_train, n_val, n_heads, n_epochs, repeats = 10_000, 800, 100, 10, 3
    if arguments.smallest:
        n_train, n_val, n_heads, n_epochs, repeats = 600, 80, 3, 1, 1
    torch.set_num_threads(arguments.threads)
    if arguments.what != "batched":
        calibrations(n_train, n_val, repeats)
    if arguments.what != "calibrations":
        batched(n_train, n_heads, n_epochs)


if __name__ == "__main__":
    main()
