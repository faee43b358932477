"""What `training.precision=bfloat16` saves on a CPU: a training step in both, side by side.

    python benchmarks/precision.py [--repeats 5]

One thread; processor seconds. Prints Markdown for README.md.
"""

import argparse
import statistics
import time

import torch
from torch import Tensor

from lmd_bench.methods.config import Precision, TrainingConfig
from lmd_bench.methods.models.encoder import Encoder, load_encoder
from lmd_bench.methods.models.precision import autocast, in_precision

CASES = [
    *[("resnet18", 32, 64), ("resnet18", 64, 64), ("resnet50", 64, 16)],
    *[("efficientnet_lite0", 112, 32), ("convnext_tiny", 64, 8), ("swin_t", 64, 16)],
]
CPU = torch.device("cpu")


def step(encoder: Encoder, images: Tensor, precision: Precision) -> float:
    """Return the processor seconds of a forward and a backward."""
    started = time.process_time()
    with in_precision(precision), autocast(CPU):
        output = encoder(images)
    output.float().square().sum().backward()
    return time.process_time() - started


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--smallest", action="store_true", help="a size that shows that it runs")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| encoder, px, batch | s in float32 | s in bfloat16 | ratio |")
    print("|---|---|---|---|")
    for name, size, batch in CASES[:1] if arguments.smallest else CASES:
        training = TrainingConfig(backbone=name, pretrained=False)
        encoder = load_encoder(training, 0, image_size=size).train()
        images = torch.randn(2 if arguments.smallest else batch, 3, size, size)
        images = images.contiguous(memory_format=torch.channels_last)
        for precision in ("float32", "bfloat16"):
            step(encoder, images, precision)
        # In turn, so that other work on the machine falls on both.
        runs = [
            (step(encoder, images, "float32"), step(encoder, images, "bfloat16"))
            for _ in range(1 if arguments.smallest else arguments.repeats)
        ]
        single, half = (statistics.median(run[i] for run in runs) for i in (0, 1))
        print(
            f"| {name}, {size}, {batch} | {single:.2f} | {half:.2f} | {single / half:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
