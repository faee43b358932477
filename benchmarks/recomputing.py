"""What gradient checkpointing costs and saves: a training step with and without, side by side.

    python benchmarks/recomputing.py [--repeats 5]

On the CPU, one thread; processor seconds. Bytes are those of tensors kept for the backward, without
the weights. Prints Markdown for README.md.
"""

import argparse
import statistics
import time

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.limits import in_parts
from lmd_bench.methods.models.encoder import Encoder, load_encoder
from lmd_bench.methods.models.recomputing import recomputing

CASES = [
    *[("resnet18", 64, 32), ("resnet50", 64, 16), ("efficientnet_lite0", 112, 16)],
    *[("swin_t", 64, 16), ("convnext_tiny", 64, 8)],
]


def step(encoder: Encoder, images: Tensor, *, recompute: bool) -> tuple[float, float]:
    """Return the processor seconds of a step, and the MiB kept for its backward."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in encoder.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with in_parts(1, recompute=recompute), recomputing(encoder):
        started = time.process_time()
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            output = encoder(images)
        held = sum(kept.values()) / 2**20
        output.square().sum().backward()
        return time.process_time() - started, held


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--smallest", action="store_true", help="a size that shows that it runs")
    arguments = parser.parse_args()
    cases = CASES[:1] if arguments.smallest else CASES
    torch.set_num_threads(1)
    print("| encoder, px, batch | s kept | s again | ratio | MiB kept | MiB again |")
    print("|---|---|---|---|---|---|")
    for name, size, batch in cases:
        training = TrainingConfig(backbone=name, pretrained=False)
        encoder = load_encoder(training, 0, image_size=size).train()
        images = torch.randn(2 if arguments.smallest else batch, 3, size, size)
        step(encoder, images, recompute=False)
        # In turn, so that other work on the machine falls on both.
        runs = [
            (step(encoder, images, recompute=False), step(encoder, images, recompute=True))
            for _ in range(1 if arguments.smallest else arguments.repeats)
        ]
        kept, again = (statistics.median(run[i][0] for run in runs) for i in (0, 1))
        (_, held), (_, held_again) = runs[0]
        cells = f"{kept:.2f} | {again:.2f} | {again / kept:.2f} | {held:.0f} | {held_again:.0f}"
        print(f"| {name}, {size}, {batch} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
