"""Speed and memory of LMD's stage 2, each against its straightforward form, side by side.

    python benchmarks/calibration.py [mahalanobis|draws|m_step|memory] [--threads 2] [--smallest]

Prints Markdown rows for benchmarks/README.md. Ratios are of medians taken in one run.
"""

import argparse
import copy
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmd_bench.methods.calibration._gaussians import ClassGaussians, class_moments, fit_gaussians
from lmd_bench.methods.calibration._m_step import (
    drawn_logits,
    expected_cross_entropy,
    expected_m_step,
    normal_points,
    sampled_m_step,
)
from lmd_bench.methods.calibration._sgd import fresh_head

BATCH, CLASSES = 64, 8
OFFICIAL_BATCH, OFFICIAL_LR = 352, 1e-5


@dataclass(frozen=True)
class Size:
    """How much is computed, and where; the defaults are the sizes of the published code."""

    device: str = "cpu"
    width: int = 512  # of a feature
    n_virtual: int = 50_000  # features drawn for each class in one M-step
    n_steps: int = 1137  # of one M-step


def seconds(run: Callable[[], object], repeats: int) -> float:
    """Return the median of `repeats` runs after one that is not counted."""
    run()
    times: list[float] = []
    for _ in range(repeats):
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def problem(n_classes: int, size: Size, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return long-tailed features that look like those of a ResNet-18: rectified, correlated."""
    rng = torch.Generator().manual_seed(0)
    counts = (2000 * 100 ** -(torch.arange(n_classes) / (n_classes - 1))).int()
    labels = torch.arange(n_classes).repeat_interleave(counts)
    mixing = torch.randn(size.width, size.width, generator=rng) / size.width**0.5
    centres = torch.randn(n_classes, size.width, generator=rng) * 0.5
    noise = torch.randn(len(labels), size.width, generator=rng) @ mixing
    features = torch.relu(centres[labels] + noise)
    return features.to(size.device, dtype), labels.to(size.device)


def gaussians_of(n_classes: int, size: Size, dtype: torch.dtype) -> ClassGaussians:
    features, labels = problem(n_classes, size, dtype)
    return fit_gaussians(class_moments(features, labels, n_classes), dtype=dtype)


def per_sample_mahalanobis(features: Tensor, gaussians: ClassGaussians) -> Tensor:
    """Return squared distances with one Cholesky factorisation for each sample and class."""
    n_classes = len(gaussians.mean)
    covariance = gaussians.covariance[None].expand(len(features), -1, -1, -1)
    difference = (features[:, None, :] - gaussians.mean)[..., None]
    cholesky = torch.linalg.cholesky(covariance.flatten(0, 1))
    solved = torch.linalg.solve_triangular(cholesky, difference.flatten(0, 1), upper=False)
    return solved.square().sum(dim=(1, 2)).view(-1, n_classes)


def mahalanobis(size: Size) -> None:
    gaussians = gaussians_of(CLASSES, size, torch.float64)
    features = problem(CLASSES, size, torch.float64)[0][:BATCH]

    def with_gradient(distance: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        x = features.clone().requires_grad_()
        d2 = distance(x)
        d2.sum().backward()
        assert x.grad is not None
        return d2.detach(), x.grad

    ours = with_gradient(gaussians.mahalanobis)
    theirs = with_gradient(lambda x: per_sample_mahalanobis(x, gaussians))
    errors = [float((a - b).norm() / b.norm()) for a, b in zip(ours, theirs, strict=True)]
    fast = seconds(lambda: with_gradient(gaussians.mahalanobis), 20)
    slow = seconds(lambda: with_gradient(lambda x: per_sample_mahalanobis(x, gaussians)), 3)
    moments = class_moments(*problem(CLASSES, size, torch.float64), CLASSES)
    factor = seconds(lambda: fit_gaussians(moments, dtype=torch.float64), 5)
    row("E-step distances, forward and gradient, float64", slow, fast)
    print(f"relative difference: forward {errors[0]:.1e}, gradient {errors[1]:.1e}")
    print(f"factoring all {CLASSES} classes, once per EM epoch: {1e3 * factor:.0f} ms")


def numpy_draws(gaussians: ClassGaussians, n_each: int, n_classes: int) -> np.ndarray:
    """Return draws of each class as the published code makes them, into one array."""
    rng = np.random.RandomState(0)  # noqa: NPY002 - what is compared with
    mean, covariance = gaussians.mean.cpu().numpy(), gaussians.covariance.cpu().numpy()
    return np.concatenate(
        [rng.multivariate_normal(mean[k], covariance[k], n_each) for k in range(n_classes)]
    )


def draws(size: Size) -> None:
    """Time all draws of an M-step: features with NumPy, features and logits here."""
    gaussians = gaussians_of(CLASSES, size, torch.float32)
    head = fresh_head(size.width, CLASSES, seed=0, device=torch.device(size.device))
    rng = torch.Generator(device=size.device).manual_seed(0)
    each = OFFICIAL_BATCH // CLASSES

    def features() -> None:
        for _ in range(size.n_virtual // each):
            gaussians.draw(each, rng)

    def logits() -> None:
        for _ in range(size.n_virtual // each):
            noise = torch.randn(CLASSES, each, CLASSES, generator=rng, device=size.device)
            drawn_logits(head, gaussians, noise)

    slow = seconds(lambda: numpy_draws(gaussians, size.n_virtual, 1), 2) * CLASSES
    row(
        f"drawing {size.n_virtual:,} features of each of {CLASSES} classes",
        slow,
        seconds(features, 3),
    )
    row("drawing what the head sees of them, their logits", slow, seconds(logits, 3))


def stored_m_step(gaussians: ClassGaussians, head: nn.Linear, n_virtual: int) -> None:
    """Run one official M-step: draw all with NumPy, store, shuffle, and step through."""
    device = gaussians.mean.device
    stored = torch.from_numpy(numpy_draws(gaussians, n_virtual, CLASSES)).float()
    labels = torch.arange(CLASSES).repeat_interleave(n_virtual)
    optimiser = torch.optim.SGD(head.parameters(), OFFICIAL_LR, momentum=0.9, weight_decay=1e-4)
    order = torch.randperm(len(labels))
    for indices in order.split(OFFICIAL_BATCH):
        batch, target = stored[indices].to(device), labels[indices].to(device)
        loss = F.cross_entropy(head(batch), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def m_step(size: Size) -> None:
    gaussians = gaussians_of(CLASSES, size, torch.float32)
    start = fresh_head(size.width, CLASSES, seed=0, device=torch.device(size.device))

    def sampled(lr: float, n_steps: int = size.n_steps) -> nn.Linear:
        head = copy.deepcopy(start)
        rng = torch.Generator(device=size.device).manual_seed(0)
        optimiser = torch.optim.SGD(head.parameters(), lr, momentum=0.9, weight_decay=1e-4)
        sampled_m_step(head, gaussians, optimiser, n_steps, OFFICIAL_BATCH, rng)
        return head

    def expected(n_iterations: int) -> nn.Linear:
        head = copy.deepcopy(start)
        expected_m_step(head, gaussians, 1e-4, n_iterations)
        return head

    def objective(head: nn.Linear) -> float:
        """Return cross-entropy and penalty on points that no fit has seen."""
        with torch.no_grad():
            weight, bias = head.weight.double(), head.bias.double()
            points = normal_points(CLASSES, 8192, seed=1).to(weight)
            mean, factors = gaussians.mean.double(), gaussians.cholesky.double()
            loss = expected_cross_entropy(weight, bias, mean, factors, points)
            return float(loss + 0.5e-4 * (weight.square().sum() + bias.square().sum()))

    slow = seconds(lambda: stored_m_step(gaussians, copy.deepcopy(start), size.n_virtual), 1)
    fast = seconds(lambda: sampled(OFFICIAL_LR), 3)
    row(f"one M-step, {size.n_steps:,} steps of {OFFICIAL_BATCH}", slow, fast)
    print(f"objective: fresh head {objective(start):.4f}", end="")
    for lr in (OFFICIAL_LR, 2e-3, 2e-2, 1e-1):
        reached = objective(sampled(lr))
        n = next(
            (
                n
                for n in (1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120)
                if objective(expected(n)) <= reached
            ),
            None,
        )
        if n is None:
            print(f"; lr {lr:g}: sampled {reached:.4f}, not reached by the expected step")
            continue
        quick = seconds(lambda n=n: expected(n), 5)
        print(
            f"\nlr {lr:g}: sampled reaches {reached:.4f}; expected, {n} iterations, "
            f"{objective(expected(n)):.4f} in {1e3 * quick:.0f} ms"
        )
        row("the same objective, stored NumPy against expected", slow, quick)
        row("the same objective, sampled against expected", fast, quick)


def memory(size: Size) -> None:
    """Print how far the resident peak rises while a 23-class M-step of each size runs."""
    gaussians = gaussians_of(23, size, torch.float32)
    head = fresh_head(size.width, 23, seed=0, device=torch.device(size.device))
    optimiser = torch.optim.SGD(head.parameters(), 1e-3, momentum=0.9)
    rng = torch.Generator(device=size.device).manual_seed(0)
    sampled_m_step(head, gaussians, optimiser, 2, OFFICIAL_BATCH, rng)
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for virtual in (size.n_virtual // 100, size.n_virtual // 10, size.n_virtual):
        steps = max(1, virtual * 23 // OFFICIAL_BATCH)
        sampled_m_step(head, gaussians, optimiser, steps, OFFICIAL_BATCH, rng)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(
            f"K=23, {virtual:,} virtual features a class: peak {(peak - base) / 1024:.0f} MiB "
            f"above the baseline of {base / 1024:.0f} MiB"
        )


def row(what: str, slow: float, fast: float) -> None:
    print(f"| {what} | {slow:.4g} s | {fast:.4g} s | {slow / fast:.1f}x |")


def main() -> None:
    parts = {"mahalanobis": mahalanobis, "draws": draws, "m_step": m_step, "memory": memory}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("part", nargs="?", choices=list(parts), help="all, if not given")
    parser.add_argument("--smallest", action="store_true", help="a size that shows that it runs")
    arguments = parser.parse_args()
    size = Size(arguments.device)
    if arguments.smallest:
        size = Size(arguments.device, width=32, n_virtual=500, n_steps=20)
    torch.set_num_threads(arguments.threads)
    print("| what | straightforward | here | ratio |\n|---|---|---|---|")
    for name, run in parts.items():
        if arguments.part in (None, name):
            run(size)


if __name__ == "__main__":
    main()
