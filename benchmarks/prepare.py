"""Prepared arrays: memory of preparing, speed of decoders, sharing between trials, batches.

    python benchmarks/prepare.py memory --work DIR [--images 25331] [--size 224]
    python benchmarks/prepare.py memory --work DIR --dataset ham10000 --root RAW [--size 224]
    python benchmarks/prepare.py decoders --work DIR [--root FOLDER_OF_JPEG]
    python benchmarks/prepare.py sharing|batches --folder PREPARED [--threads 2]

`memory` makes ISIC 2019 in its published layout from some hundred drawn JPEGs of 1024x1024 pixels
under many names (hard links; each is really decoded), runs `lmd-bench prepare` on it and watches
the process with all that it starts. PREPARED is the folder that the command prints; without one,
the built-in data set is prepared. Without a word all four run. Linux only.
"""

import argparse
import csv
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from lmd_bench.data.batches import MappedPixels
from lmd_bench.data.build import prepare_images
from lmd_bench.data.datasets._decode import decode
from lmd_bench.data.datasets.isic2019 import GROUND_TRUTH, IMAGES, METADATA, Isic2019
from lmd_bench.data.datasets.synthetic import draw
from lmd_bench.data.images.cache import PreparedImages, open_folder
from lmd_bench.data.views import make_view
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.models.model import build_model

CPU = torch.device("cpu")
MIB = 2**20
BATCH = 128


# --- memory


def drawn_jpegs(folder: Path, count: int) -> list[Path]:
    """Draw different JPEGs of 1024x1024 pixels, of about the size of ISIC 2019's (360 kB)."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{i:04d}.jpg" for i in range(count)]
    for i, file in enumerate(files):
        if not file.exists():
            small = Image.fromarray(draw(f"smooth-{i:04d}-0", 256))
            large = np.asarray(small.resize((1024, 1024), Image.Resampling.BICUBIC))
            noise = np.random.default_rng(i).normal(0, 5, large.shape)
            noisy = np.clip(large + noise, 0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(file, quality=92)
    return files


def write_isic(root: Path, n_images: int, files: list[Path]) -> None:
    """Write ISIC 2019's layout with `n_images` names on the given files."""
    shutil.rmtree(root, ignore_errors=True)
    (root / IMAGES).mkdir(parents=True)
    names = Isic2019.card.class_names
    with (
        (root / GROUND_TRUTH).open("w", newline="") as truth,
        (root / METADATA).open("w", newline="") as metadata,
    ):
        truths, lesions = csv.writer(truth), csv.writer(metadata)
        truths.writerow(["image", *names])
        lesions.writerow(["image", "lesion_id"])
        for i in range(n_images):
            image_id = f"ISIC_{i:07d}"
            os.link(files[i % len(files)], root / IMAGES / f"{image_id}.jpg")
            truths.writerow([image_id, *(int(k == i % len(names)) for k in range(len(names)))])
            lesions.writerow([image_id, f"IL_{i:07d}"])


def memory_of(pid: int, field: str) -> int:
    """Return `Pss`, `Rss`, ... of a process in bytes; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def children_of(pid: int) -> list[int]:
    """Return the processes below a process, of all its threads."""
    processes: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            below = [int(child) for child in (task / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
        processes += below + [deeper for child in below for deeper in children_of(child)]
    return processes


def watch(command: list[str], environment: dict[str, str]) -> tuple[float, dict[str, float]]:
    """Run a command; return seconds and the peaks, in MiB, of its processes taken together."""
    started = time.perf_counter()
    peak = {"sum of RSS": 0, "sum of PSS": 0, "parent RSS": 0, "largest worker RSS": 0}
    with subprocess.Popen(command, env=environment) as run:
        while run.poll() is None:
            pids = [run.pid, *children_of(run.pid)]
            rss = [memory_of(pid, "Rss") for pid in pids]
            now = {
                "sum of RSS": sum(rss),
                "sum of PSS": sum(memory_of(pid, "Pss") for pid in pids),
                "parent RSS": rss[0],
                "largest worker RSS": max(rss[1:], default=0),
            }
            peak = {name: max(value, now[name]) for name, value in peak.items()}
            time.sleep(0.1)
        if run.returncode:
            raise SystemExit(run.returncode)
    return time.perf_counter() - started, {name: v / MIB for name, v in peak.items()}


def memory(options: argparse.Namespace) -> None:
    root = options.root
    if root is None:
        root = options.work / f"isic-{options.images}"
        drawn = drawn_jpegs(options.work / "jpegs", min(300, options.images))
        write_isic(root, options.images, drawn)
    cache = options.work / "cache"
    command = [sys.executable, "-m", "lmd_bench", "prepare", "--dataset", options.dataset]
    command += ["--data-root", str(root), "--image-size", str(options.size)]
    seconds, peak = watch(command, os.environ | {"LMD_BENCH_CACHE": str(cache)})
    facts = ", ".join(f"{name} {value:,.0f} MiB" for name, value in peak.items())
    print(f"{options.dataset} at {options.size} px: {seconds:.0f} s; {facts}")


# --- decoders


def torchvision_decode(path: Path, size: int) -> np.ndarray:
    from torchvision.io import ImageReadMode, decode_jpeg, read_file
    from torchvision.transforms.v2.functional import resize

    image = decode_jpeg(read_file(str(path)), mode=ImageReadMode.RGB)
    return resize(image, [size, size], antialias=True).permute(1, 2, 0).numpy()


def pillow_whole(path: Path, size: int) -> np.ndarray:
    """Decode at full scale, without drafts: the exact answer."""
    with Image.open(path) as image:
        rgb = image.convert("RGB")
    return np.asarray(rgb.resize((size, size), Image.Resampling.BILINEAR))


def decoders(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)  # workers are one core each
    if options.root is None:
        files = drawn_jpegs(options.work / "jpegs", min(100, options.images))
    else:
        files = sorted(options.root.glob("*.jpg"))[:300]
    ways: dict[str, Callable[[Path, int], np.ndarray]] = {
        "Pillow, whole": pillow_whole,
        "Pillow, draft (here)": decode,
        "torchvision decode_jpeg": torchvision_decode,
    }
    for size in (64, 224):
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        apart: dict[str, list[np.ndarray]] = {name: [] for name in ways}
        for file in [files[0], *files]:  # the first twice: once for the imports
            exact = pillow_whole(file, size).astype(int)
            for name, way in ways.items():  # side by side: other loads strike all alike
                started = time.perf_counter()
                pixels = way(file, size)
                seconds[name].append(time.perf_counter() - started)
                apart[name].append(np.abs(pixels.astype(int) - exact))
        for name in ways:
            print(
                f"| {size} px | {name} | {1000 * statistics.median(seconds[name][1:]):.1f} ms | "
                f"{np.mean(apart[name]):.2f} | {np.max(apart[name])} |"
            )


# --- sharing


def hold(folder: Path, copied: bool, pipe: Connection) -> None:
    """Open the array when told to, read every image as a trial does, and wait to be ended."""
    prepared = opened(folder)
    rows = np.arange(len(prepared.table))
    torch.zeros(8).sum()
    pipe.send("ready")
    pipe.recv()
    pixels = (
        torch.from_numpy(prepared.read(rows))
        if copied
        else MappedPixels(prepared.mapped(), rows, CPU)
    )
    for start in range(0, len(rows), BATCH):
        pixels[start : start + BATCH].sum()
    pipe.send("read")
    pipe.recv()


def opened(folder: Path) -> PreparedImages:
    prepared = open_folder(folder)
    if prepared is None:
        raise SystemExit(f"{folder} holds no prepared images")
    return prepared


def sharing(options: argparse.Namespace) -> None:
    size = opened(options.folder).mapped().nbytes
    numbers = ", ".join(str(number) for number in range(1, options.trials + 1))
    context = multiprocessing.get_context("spawn")
    for copied in (True, False):
        pipes, runs = [], []
        for _ in range(options.trials):
            ours, theirs = context.Pipe()
            run = context.Process(target=hold, args=(options.folder, copied, theirs))
            run.start()
            ours.recv()
            pipes.append(ours)
            runs.append(run)
        totals = [sum(memory_of(run.pid, "Pss") for run in runs)]
        for pipe in pipes:
            pipe.send("read")
            pipe.recv()
            totals.append(sum(memory_of(run.pid, "Pss") for run in runs))
        added = [100 * (after - before) / size for before, after in pairwise(totals)]
        shares = ", ".join(f"{share:.1f} %" for share in added)
        print(f"{'copied' if copied else 'mapped'}: PSS added by trials {numbers}: {shares} of")
        print(f"  an array of {size / MIB:,.0f} MiB")
        for pipe, run in zip(pipes, runs, strict=True):
            pipe.send("end")
            run.join()


# --- batches


def milliseconds(
    take: Callable[[torch.Tensor], object], n_images: int, batch_size: int, repeats: int
) -> float:
    seconds = []
    for seed in range(repeats):
        order = torch.randperm(n_images, generator=torch.Generator().manual_seed(seed))
        started = time.perf_counter()
        take(order[:batch_size])
        seconds.append(time.perf_counter() - started)
    return 1000 * statistics.median(seconds)


def batches(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    prepared = opened(options.folder)
    rows = np.arange(min(len(prepared.table), 6000))
    mapped = MappedPixels(prepared.mapped(), rows, CPU)
    held = torch.from_numpy(prepared.read(rows))
    model = build_model(TrainingConfig(), 8, seed=0)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)

    def step(indices: torch.Tensor) -> None:
        logits = model(make_view("weak", held[indices], seed=0))[1]
        optimiser.zero_grad(set_to_none=True)
        F.cross_entropy(logits, indices % 8).backward()
        optimiser.step()

    mapped[:]  # in the page cache, as after the first epoch
    whole = milliseconds(step, len(rows), options.batch_size, 5)
    for name, pixels in (("tensor of its own, indexed", held), ("map, gathered", mapped)):
        taken = milliseconds(
            lambda indices, p=pixels: p[indices], len(rows), options.batch_size, 100
        )
        print(
            f"{prepared.image_size} px, {options.threads} threads: {name} {taken:.2f} ms, "
            f"{100 * taken / whole:.2f} % of a step of {whole:.0f} ms"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ways = {"memory": memory, "decoders": decoders, "sharing": sharing, "batches": batches}
    parser.add_argument("what", nargs="?", choices=list(ways), help="all, if not given")
    work = Path(tempfile.gettempdir()) / "lmd-bench-prepare"
    parser.add_argument("--work", type=Path, default=work)
    parser.add_argument("--images", type=int, default=25_331)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--dataset", default="isic2019")
    parser.add_argument("--root", type=Path)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--trials", type=int, default=3, help="that share one array")
    parser.add_argument("--batch-size", type=int, default=BATCH)
    parser.add_argument("--smallest", action="store_true", help="a size that shows that it runs")
    options = parser.parse_args()
    if options.smallest:
        options.images, options.size = 4, 8
        options.trials, options.batch_size = 1, 4
    if options.folder is None and options.what in (None, "sharing", "batches"):
        options.folder = prepare_images("synthetic", 8 if options.smallest else 64).folder
    for name, run in ways.items():
        if options.what in (None, name):
            run(options)


if __name__ == "__main__":
    main()
