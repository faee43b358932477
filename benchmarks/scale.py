"""Many images of many classes: check, prepare and one trial of each method.

    python benchmarks/scale.py [--images 250000] [--classes 200] [--method cross_entropy+icc,lmd]

Draws a folder of PNG files, a sub-folder a class, long-tailed (imbalance factor 100), and runs the
commands on it one after the other, each a process of its own. `--root` keeps the folder, and takes
one that is there. The trials train for `--epochs` on the task of `--n-max` and
`--imbalance-factor`, ResNet-18 with the stem of ImageNet. Prints Markdown for
README.md: seconds, those of the processors, and the peak of resident memory of the process.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

FACTOR = 100  # of the drawn images


def draw(root: Path, n_images: int, n_classes: int, size: int) -> int:
    """Write images whose colour says something of their class; return how many."""
    rng = np.random.default_rng(0)
    profile = FACTOR ** -(np.arange(n_classes) / max(1, n_classes - 1))
    counts = np.maximum(16, (n_images * profile / profile.sum()).round()).astype(int)
    centres = rng.integers(60, 196, (n_classes, 2, 2, 3))
    for label, count in enumerate(counts.tolist()):
        folder = root / f"class{label:03d}"
        folder.mkdir(parents=True)
        coarse = centres[label] + rng.normal(0, 30, (count, 2, 2, 3))
        fine = rng.normal(0, 12, (count, size, size, 3))
        pixels = coarse.repeat(size // 2, axis=1).repeat(size // 2, axis=2) + fine
        for i, image in enumerate(pixels.clip(0, 255).astype(np.uint8)):
            Image.fromarray(image).save(folder / f"c{label:03d}_{i:06d}.png", compress_level=1)
    return int(counts.sum())


def measured(command: list[str], environment: dict[str, str]) -> tuple[float, float, float, int]:
    """Run a command; return seconds, those of the processors, MiB at the peak, its exit code."""
    start = time.perf_counter()
    run = subprocess.Popen(command, env=environment, stdout=sys.stderr)
    _, status, usage = os.wait4(run.pid, 0)
    run.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, run.returncode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=250_000)
    parser.add_argument("--classes", type=int, default=200)
    parser.add_argument("--size", type=int, default=28, help="pixels, even")
    parser.add_argument("--root", type=Path, help="folder of the images")
    parser.add_argument("--method", default="cross_entropy+icc,lmd")
    parser.add_argument("--imbalance-factor", default="100")
    parser.add_argument("--n-max", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--smallest", action="store_true", help="a size that shows that it runs")
    options = parser.parse_args()
    if options.smallest:
        options.images, options.classes, options.size, options.n_max = 400, 4, 16, 20
        options.imbalance_factor = "2"
    with tempfile.TemporaryDirectory() as work:
        root = options.root or Path(work) / "images"
        if not root.exists():
            print(f"{draw(root, options.images, options.classes, options.size)} images drawn")
        environment = {"LMD_BENCH_CACHE": str(Path(work) / "cache")} | os.environ
        data = ["--dataset", "folder", "--data-root", str(root), "--image-size", str(options.size)]
        lmd_bench = [sys.executable, "-m", "lmd_bench"]
        commands = {"check": ["check", *data], "prepare": ["prepare", *data]}
        for method in options.method.split(","):
            commands[f"train {method}"] = [
                *("train", *data, "--method", method, "--epochs", str(options.epochs)),
                *("--imbalance-factor", options.imbalance_factor, "--n-max", str(options.n_max)),
                *("--set", "training.stem=imagenet", "--results", str(Path(work) / "results")),
            ]
        print("| command | seconds | of the processors | peak memory | load before |")
        print("|---|---|---|---|---|")
        for name, arguments in commands.items():
            load = os.getloadavg()[0]
            seconds, busy, mib, code = measured([*lmd_bench, *arguments], environment)
            # `check` ends with 1 where it has found something, as it may in drawn images.
            if code not in ((0, 1) if name == "check" else (0,)):
                raise SystemExit(f"{name} ended with {code}")
            cells = f"{name} | {seconds:.0f} | {busy:.0f} | {mib:,.0f} MiB | {load:.1f}"
            print(f"| {cells} |", flush=True)


if __name__ == "__main__":
    main()
