"""What the input pipeline costs: the real training step against the bare one, side by side.

    python benchmarks/pipeline.py steps [--dataset ham10000 --root RAW] [--image-size 64]
    python benchmarks/pipeline.py transforms [--image-size 64]
    python benchmarks/pipeline.py loader [--workers 2]
    python benchmarks/pipeline.py ahead

`steps` times the step of `lmd_bench.training` (gather, views, loss, backward, optimiser, EMA)
against the same model's forward, backward and optimiser step on one batch that is in memory
already; for RRL the bare loop has the teacher's forward too, and no relation losses or EMA. With a
GPU it does so in bfloat16, with the split on the device and streamed from the memory map. The two
are interleaved; rates and shares are of medians. `loader` compares the views with a DataLoader
whose workers apply torchvision's transforms to one image at a time. `ahead` shows how long a step
waits for its views where they are made in it, and where a thread made them while the step before
ran. Images of 8 px leave of a view what the CPU does for a GPU: draw and launch.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from lmd_bench.core import plugins
from lmd_bench.core.schema import DataSource
from lmd_bench.data.batches import ImageSet, MappedPixels
from lmd_bench.data.images import prepare as images
from lmd_bench.data.views import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    _blurs,
    _draws,
    _warps,
    flip,
    make_view,
    strong,
)
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.models.model import Model, build_model
from lmd_bench.methods.models.precision import autocast, grad_scaler
from lmd_bench.training import feed as feeding
from lmd_bench.training import loop as training
from lmd_bench.training.feed import Feed

CLASSES = 8


def interleaved(steps: dict[str, Callable[[int], object]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each step, taken in turns; the first round is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 2):
        for name, step in steps.items():
            finish()
            started = time.perf_counter()
            step(number)
            finish()
            if number >= 2:
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def finish() -> None:
    """Wait for the GPU."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def prepared_images(options: argparse.Namespace) -> images.PreparedImages:
    """Return the prepared images that the options name."""
    return images.prepare(options.dataset, DataSource(options.root), options.image_size)


# --- steps


def bare_step(model: Model, batches: Sequence[Tensor], labels: Tensor) -> Callable[[int], object]:
    """Return a forward, backward and optimiser step; other batches get a forward of a teacher."""
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    teacher = build_model(TrainingConfig(), CLASSES, seed=1).to(labels.device)

    def step(_: int) -> None:
        with autocast(labels.device):
            loss = F.cross_entropy(model(batches[0])[1], labels)
            with torch.no_grad():
                for batch in batches[1:]:
                    teacher(batch)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    return step


def real_step(
    name: str, train_set: ImageSet, config: TrainingConfig, batch_size: int, n_rounds: int
) -> Callable[[int], object]:
    """Return the step that a search takes, after RRL's warm-up."""
    device = train_set.labels.device
    model = build_model(TrainingConfig(), CLASSES, seed=0).to(device)
    plugin: Any = plugins.plugin_class("representation", name)
    settings = plugins.load("representation", name).Config()
    method = plugin(settings, model, torch.bincount(train_set.labels, minlength=CLASSES), 1, 0)
    model.train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    order = torch.randperm(len(train_set), generator=torch.Generator().manual_seed(0))
    n_images = n_rounds * batch_size
    batches = order.repeat(1 + n_images // len(order))[:n_images].view(-1, batch_size)
    feed = Feed(method, train_set, config, seed=0)
    scaler = grad_scaler(device)

    def step(number: int) -> None:
        parts = feed.parts(batches[number], number + 1, 1)
        training._step(feed, optimiser, scaler, parts, number + 1)  # pyright: ignore[reportPrivateUsage]

    return step


def steps(options: argparse.Namespace) -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size = options.batch_size
    prepared = prepared_images(options)
    rows = np.arange(len(prepared.table))
    labels = torch.from_numpy(prepared.table.labels % CLASSES).to(device)
    mapped = MappedPixels(prepared.mapped(), rows, device)
    sets = {"on the memory map": ImageSet(mapped, labels)}
    if device.type == "cuda":
        sets["on the GPU"] = ImageSet(mapped[:], labels)
    fixed = make_view("test", mapped[torch.arange(size)], 0)
    print(f"{device}, {options.image_size} px, batch {size}, {torch.get_num_threads()} threads")
    print("| method | view | pixels | bare, images/s | real, images/s | share |")
    print("|---|---|---|---|---|---|")
    for name, n_forwards in (("cross_entropy", 1), ("rrl", 2)):
        for view in ("strong", "weak", "randaugment"):
            for place, train_set in sets.items():
                model = build_model(TrainingConfig(), CLASSES, seed=0).to(device)
                config = TrainingConfig(augmentation=view)
                pair = {
                    "bare": bare_step(model.train(), [fixed] * n_forwards, labels[:size]),
                    "real": real_step(name, train_set, config, size, options.rounds + 2),
                }
                took = interleaved(pair, options.rounds)
                rates = [size / took[kind] for kind in ("bare", "real")]
                share = f"{100 * rates[1] / rates[0]:.0f} %"
                print(f"| {name} | {view} | {place} | {rates[0]:.0f} | {rates[1]:.0f} | {share} |")
    if device.type == "cuda":
        print(f"peak GPU memory: {torch.cuda.max_memory_allocated() / 2**20:.0f} MiB")


# --- transforms


def transforms(options: argparse.Namespace) -> None:
    """Time each transform of the strong view on a batch: ours, torchvision's batched and by one."""
    n_images, size = options.batch_size, options.image_size
    pixels = torch.from_numpy(prepared_images(options).read(np.arange(n_images)))
    batch = pixels.permute(0, 3, 1, 2).float().div_(255).contiguous()
    rng = torch.Generator().manual_seed(0)
    kernels = _blurs.motion_kernels(rng, n_images, size)
    maps = _warps.shift_scale_rotate(rng, n_images, size, size)
    points = _warps.pixel_grid(batch).repeat(n_images, 1, 1, 1)
    grids = _warps.grid_steps(rng, n_images)
    lens = _draws.uniform(rng, -0.05, 0.05, n_images)
    box = v2.GaussianBlur(3)
    turn = v2.RandomAffine([-45.0, 45.0], translate=(0.0625, 0.0625), scale=(0.8, 1.2))
    elastic = v2.ElasticTransform()
    colour = v2.ColorJitter(0.2, 0.2, 0.2, 0.1)
    rows: dict[str, tuple[Callable[[], object], Callable[[Tensor], Tensor] | None]] = {
        "flips": (lambda: flip(pixels, rng), v2.RandomHorizontalFlip()),
        "motion blur": (lambda: _blurs.motion_blur(batch, kernels), box),
        "median blur": (lambda: _blurs.median_blur(batch), None),
        "box blur": (lambda: _blurs.box_blur(batch), box),
        "shift, scale, rotate": (
            lambda: _warps.resample(batch, _warps.affine(_warps.reflect(points), maps)),
            turn,
        ),
        "grid distortion": (
            lambda: _warps.resample(batch, _warps.grid_distortion(points, grids)),
            elastic,
        ),
        "optical distortion": (
            lambda: _warps.resample(batch, _warps.optical_distortion(points, lens)),
            None,
        ),
        "colour, on the images drawn": (lambda: strong.recolour(batch.clone(), rng), colour),
        "weak view, whole": (lambda: make_view("weak", pixels, 0), None),
        "strong view, whole": (lambda: make_view("strong", pixels, 0), None),
    }
    print(f"ms for {n_images} images of {size} px, each transform applied to all of them")
    print("| transform | ours | torchvision v2, one draw a batch | torchvision v2, by image |")
    print("|---|---|---|---|")
    for name, (ours, theirs) in rows.items():
        kinds: dict[str, Callable[[int], object]] = {"ours": lambda _, f=ours: f()}
        if theirs is not None:
            kinds["batch"] = lambda _, f=theirs: f(batch)
            kinds["image"] = lambda _, f=theirs: [f(image) for image in batch]
        took = interleaved(kinds, options.rounds)
        cells = [f"{1000 * took[k]:.1f}" if k in took else "-" for k in ("ours", "batch", "image")]
        print(f"| {name} | {' | '.join(cells)} |")


# --- loader


class OneByOne(Dataset[Tensor]):
    """Images with the nearest torchvision transforms of the strong view, one at a time."""

    def __init__(self, pixels: np.ndarray) -> None:
        """Keep the memory map."""
        self.pixels = pixels
        self.transform = v2.Compose(
            [
                v2.RandomHorizontalFlip(),
                v2.RandomVerticalFlip(),
                v2.RandomApply([v2.GaussianBlur(3)], 0.5),
                v2.RandomApply([v2.RandomAffine([-45.0, 45.0], (0.0625, 0.0625), (0.8, 1.2))], 0.5),
                v2.RandomApply([v2.ColorJitter(0.2, 0.2, 0.2, 0.1)], 0.5),
                v2.ToDtype(torch.float32, scale=True),
                v2.RandomErasing(0.2),
                v2.Normalize(list(IMAGENET_MEAN), list(IMAGENET_STD)),
            ]
        )

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.pixels)

    def __getitem__(self, index: int) -> Tensor:
        """Return one image, transformed."""
        return self.transform(torch.from_numpy(self.pixels[index].copy()).permute(2, 0, 1))


def loader(options: argparse.Namespace) -> None:
    """Print images per second of the views alone: ours, and a DataLoader's."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    prepared = prepared_images(options)
    mapped = MappedPixels(prepared.mapped(), np.arange(len(prepared.table)), device)
    order = torch.randperm(len(mapped), generator=torch.Generator().manual_seed(0))
    size = options.batch_size
    n_batches = min(options.rounds * 4, len(order) // size)
    theirs = DataLoader(
        OneByOne(prepared.mapped()), size, shuffle=True, num_workers=options.workers
    )
    for round_number in range(3):
        started = time.perf_counter()
        for number in range(n_batches):
            make_view("strong", mapped[order[number * size : (number + 1) * size]], number)
        finish()
        ours = n_batches * size / (time.perf_counter() - started)
        batches = iter(theirs)
        next(batches)  # the workers have started
        started = time.perf_counter()
        for _ in range(n_batches - 1):
            next(batches).to(device)
        finish()
        other = (n_batches - 1) * size / (time.perf_counter() - started)
        del batches
        print(
            f"round {round_number}, {device}, {options.image_size} px: strong view {ours:.0f} "
            f"images/s, DataLoader of {options.workers} workers {other:.0f}, {ours / other:.1f}x"
        )


# --- ahead


def ahead(options: argparse.Namespace) -> None:
    """Print how long steps wait for their views, made in their turn and ahead of it."""
    torch.set_num_threads(1)
    size, n_steps = options.batch_size, options.rounds + 4
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (size, 8, 8, 3), dtype=torch.uint8, generator=rng)
    train_set = ImageSet(pixels, torch.arange(size) % CLASSES)
    plugin: Any = plugins.plugin_class("representation", "cross_entropy")
    settings = plugins.load("representation", "cross_entropy").Config()
    counts = torch.bincount(train_set.labels, minlength=CLASSES)
    # As many operations as a ResNet-18's step, on numbers too few to take a core long.
    model = torch.nn.Sequential(*(torch.nn.Linear(1, 1) for _ in range(160)))
    some = torch.ones(1, 1)
    rests: dict[str, Callable[[], object]] = {
        "10 ms that need no CPU": lambda: time.sleep(0.01),
        "some 500 small operations": lambda: model(some).sum().backward(),
    }
    print(f"ms, medians of 3 x {n_steps - 4} steps; views of {size} images of 8 px")
    print("| view | rest of the step | wait: made in the step | ahead | whole step | ahead |")
    print("|---|---|---|---|---|---|")
    for view in ("strong", "randaugment", "weak"):
        for rest, run in rests.items():
            waits: dict[bool, list[float]] = {False: [], True: []}
            whole: dict[bool, list[float]] = {False: [], True: []}
            # In turns, so that what else runs on the machine meets both.
            for is_ahead in (False, True, False, True, False, True):
                feeding.makes_ahead = lambda device, answer=is_ahead: answer
                method = plugin(settings, model, counts, 1, 0)
                feed = Feed(method, train_set, TrainingConfig(augmentation=view), seed=0)
                steps = feed.steps([torch.arange(size)] * n_steps, 0, 1)
                for step in range(n_steps):
                    started = time.perf_counter()
                    next(steps)
                    waited = time.perf_counter() - started
                    run()
                    if step >= 4:
                        waits[is_ahead].append(1000 * waited)
                        whole[is_ahead].append(1000 * (time.perf_counter() - started))
                steps.close()
            cells = [statistics.median(ms[way]) for ms in (waits, whole) for way in (False, True)]
            print(f"| {view} | {rest} | {' | '.join(f'{cell:.2f}' for cell in cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description="The cost of the input pipeline.")
    ways = {"steps": steps, "transforms": transforms, "loader": loader, "ahead": ahead}
    parser.add_argument("what", nargs="?", choices=list(ways), help="all, if not given")
    parser.add_argument("--dataset", default="synthetic")
    parser.add_argument("--root", type=Path)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--smallest", action="store_true", help="a size that shows that it runs")
    options = parser.parse_args()
    if options.smallest:
        # Torchvision's elastic transform pads by 20 pixels, which takes larger images.
        options.image_size, options.batch_size, options.rounds, options.workers = 24, 4, 1, 1
        # Threads that wait for one another take most of so small a step.
        torch.set_num_threads(1)
    for name, run in ways.items():
        if options.what in (None, name):
            run(options)


if __name__ == "__main__":
    main()
